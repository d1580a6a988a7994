//! What other people's software does at every provider, as data: we do the same, or say why not.
//!
//! Rows are in `data/` (`pack.py` packs them, NOTICE says where they come from). A difference is fine where
//! `explained.json` gives its reason. `floors.json` says how many rows of each provider hold; fewer is a failure, and
//! `UPDATE=1` raises the floors to what holds now. `CONFORMANCE=groq,errors/azure` prints the differences that are left.

mod data;
mod errors;
mod items;
mod known;
mod normal;
mod requests;
mod responses;
mod score;
mod subject;
mod tokens;

use score::Score;

#[test]
fn requests_go_out_as_others_send_them() {
    Score::of("requests", requests::verdicts()).check();
}

#[test]
fn answers_read_as_others_read_them() {
    Score::of("responses", responses::verdicts()).check();
}

#[test]
fn errors_have_the_class_others_give_them() {
    Score::of("errors", errors::verdicts()).check();
}

#[test]
fn tokens_are_counted_as_others_count_them() {
    Score::of("tokens", tokens::verdicts()).check();
}
