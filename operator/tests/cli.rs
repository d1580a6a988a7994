//! The `spillway` command as people and scripts meet it: what it prints, and how it exits.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

use std::{
    io::Write,
    process::{Command, Output, Stdio},
};

const ROUTE: &str =
    "apiVersion: spillway.dev/v1alpha1\nkind: ModelRoute\nmetadata: {name: chat, namespace: shop}\nspec:\n";
const PROVIDER: &str = "apiVersion: spillway.dev/v1alpha1\nkind: ModelProvider\nmetadata: {name: p, namespace: shop}\n\
                        spec: {type: OpenAI, credentials: {none: {}}}\n---\n";

fn spillway(arguments: &[&str], input: &str) -> (i32, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_spillway"));
    command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let Output { status, stdout, stderr } = child.wait_with_output().unwrap();
    (status.code().unwrap(), String::from_utf8(stdout).unwrap(), String::from_utf8(stderr).unwrap())
}

#[test]
fn check_exits_by_what_it_finds_and_names_file_object_and_field() {
    let sound = "  backends: [{name: a, providerRef: {name: p}, model: gpt-4o}]\n";
    let missing = "  backends: [{name: a, providerRef: {name: elsewhere}, model: gpt-4o}]\n";
    let rows = [
        ("sound", vec![], format!("{PROVIDER}{ROUTE}{sound}"), 0, ""),
        (
            "a typo",
            vec![],
            format!("{PROVIDER}{ROUTE}{sound}  cach: {{}}\n"),
            1,
            "ModelRoute shop/chat: spec.cach: is not a field",
        ),
        (
            "not enforced",
            vec![],
            format!("{PROVIDER}{ROUTE}{sound}  cache: {{ttl: 1m}}\n"),
            1,
            "ModelRoute shop/chat: spec.cache",
        ),
        ("a missing reference", vec![], format!("{ROUTE}{missing}"), 0, "warning: "),
        ("the same, strictly", vec!["--strict"], format!("{ROUTE}{missing}"), 1, "elsewhere"),
        ("no YAML", vec![], "kind: [".to_owned(), 1, "is not YAML"),
        ("somebody else's", vec![], "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: x}\n".to_owned(), 0, ""),
    ];
    for (row, flags, text, want, hint) in rows {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("all.yaml");
        std::fs::write(&file, text).unwrap();
        let path = file.display().to_string();
        let (code, out, error) = spillway(&[&["check", &path], &flags[..]].concat(), "");
        assert_eq!(code, want, "{row}: {out}{error}");
        assert!(out.contains(hint), "{row}: {out}");
        assert!(out.is_empty() || out.contains("all.yaml"), "{row}: {out}");
    }
}

#[test]
fn inject_prints_everything_or_nothing() {
    let service = "apiVersion: v1\nkind: Service\nmetadata: {name: web}\n";
    let pod =
        |spec: &str| format!("{service}---\napiVersion: v1\nkind: Pod\nmetadata: {{name: web}}\nspec: {{{spec}}}\n");
    let (code, out, _) = spillway(&["inject", "-f", "-"], &pod("containers: [{name: app}]"));
    assert_eq!(code, 0);
    assert!(out.contains("kind: Service") && out.contains("name: spillway-sidecar"), "{out}");
    let (code, out, error) = spillway(&["inject", "-f", "-"], &pod("hostNetwork: true, containers: [{name: app}]"));
    assert_eq!((code, out.as_str()), (1, ""));
    assert!(error.contains("Pod web") && error.contains("hostNetwork") && error.contains("fix:"), "{error}");
    // What was printed can be read again and needs nothing more.
    let (_, once, _) = spillway(&["inject", "-f", "-"], &pod("containers: [{name: app}]"));
    let (_, twice, _) = spillway(&["inject", "-f", "-"], &once);
    assert_eq!(once, twice);
}

#[test]
fn crds_prints_all_four() {
    let (code, out, _) = spillway(&["crds"], "");
    assert_eq!((code, out.matches("kind: CustomResourceDefinition").count()), (0, 4));
}

#[test]
fn dev_tells_its_own_failures_from_the_commands() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("all.yaml"), PROVIDER).unwrap();
    let path = folder.path().display().to_string();
    let rows = [
        (vec!["dev", "/nonexistent", "--", "true"], 125, "/nonexistent does not exist"),
        (vec!["dev", &path, "--sidecar-bin", "/nonexistent", "--", "true"], 125, "--sidecar-bin"),
        // A sidecar that ends at once is not waited for.
        (vec!["dev", &path, "--sidecar-bin", "false", "--", "true"], 125, "--verbose"),
        (
            vec!["dev", &path, "--secret", "key/apiKey=SPILLWAY_TEST_UNSET", "--", "true"],
            125,
            "export SPILLWAY_TEST_UNSET",
        ),
        (vec!["dev", &path, "--endpoint", "small", "--", "true"], 2, "NAME=URL"),
    ];
    for (arguments, want, hint) in rows {
        let (code, out, error) = spillway(&arguments, "");
        assert_eq!((code, out.as_str()), (want, ""), "{arguments:?}: {error}");
        assert!(error.contains(hint), "{arguments:?}: {error}");
    }
}

#[test]
fn help_teaches_by_example_and_lists_exit_codes() {
    for command in [&["--help"][..], &["dev", "--help"], &["check", "--help"], &["inject", "--help"]] {
        let (code, out, _) = spillway(command, "");
        assert_eq!(code, 0);
        assert!(out.contains("Examples:") && out.contains("Exit codes"), "{command:?}: {out}");
    }
}

#[test]
fn models_lists_compares_and_says_what_it_did_not_understand() {
    let rows: [(&[&str], i32, &str); 12] = [
        (&["gpt-4o-mini", "-p", "openai"], 0, "OpenAI    gpt-4o-mini "),
        (&["--tools", "--window", "200k", "--sort", "cost", "-n", "5"], 0, "PROVIDER"),
        (&["-p", "OpenAI", "gpt-5.6", "--compare", "100k in, 1k out", "-n", "1"], 0, "$0."),
        (&["-p", "OpenAI", "gpt-4o-mini", "-o", "csv"], 0, "OpenAI,gpt-4o-mini,chat,128000,16384,0.15,0.60,0.075,"),
        (&["-p", "OpenAI", "gpt-4o-mini", "-o", "json"], 0, "\"inputPerMillion\": \"0.15\""),
        (&["no-such-model"], 0, "none of the "),
        (&["-p", "OpnAI"], 2, "there is no such type of provider (models are known of AI21,"),
        (&["--window", "large"], 2, "is no number of tokens (examples: 8192, 200k, 1.5m)"),
        (&["--compare", "100k"], 2, "is no amount of something"),
        (&["--tier", "flex"], 2, "--compare"),
        (&["--max-input-price", "cheap"], 2, "is not an amount in US dollars"),
        (&["--catalogue", "/nowhere.json"], 1, "--catalogue /nowhere.json"),
    ];
    for (arguments, want, hint) in rows {
        let (code, out, error) = spillway(&[&["models"], arguments].concat(), "");
        assert_eq!(code, want, "{arguments:?}: {out}{error}");
        assert!(out.contains(hint) || error.contains(hint), "{arguments:?}: {out}{error}");
    }
}

#[test]
fn what_models_prints_is_what_an_override_takes() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("models.json").display().to_string();
    let (_, printed, _) = spillway(&["models", "-o", "json", "--compare", "1k in"], "");
    std::fs::write(&file, &printed).unwrap();
    let (code, again, error) = spillway(&["models", "-o", "json", "--compare", "1k in", "--catalogue", &file], "");
    assert_eq!((code, error.as_str()), (0, ""));
    assert_eq!(again, printed);
    std::fs::write(&file, r#"{"OpenAI": {"gpt-4o-mini": {"pricing": {"inputPerMillion": "0.1"}}}}"#).unwrap();
    let (_, out, _) = spillway(&["models", "-p", "OpenAI", "gpt-4o-mini", "-o", "csv", "--catalogue", &file], "");
    assert!(out.contains("OpenAI,gpt-4o-mini,chat,128000,16384,0.10,0.60,"), "{out}");
    std::fs::write(&file, r#"{"OpenAI": {"gpt-4o-mini": {"window": 5}}}"#).unwrap();
    let (code, _, error) = spillway(&["models", "--catalogue", &file], "");
    assert!(code == 1 && error.contains("OpenAI \"gpt-4o-mini\": window: there is no such field"), "{error}");
    let (code, _, error) = spillway(&["check", "--catalogue", &file, &file], "");
    assert!(code == 1 && error.contains("window: there is no such field"), "{error}");
}
