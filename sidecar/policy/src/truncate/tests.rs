use super::*;

const RULE: Rule = Rule { keep_system: true, keep_last: 1, order: Order::OldestFirst };

/// `s`ystem, `u`ser, `a`ssistant, `c`all, `r`esult, ten tokens each. In capitals, all but three of them can be cut.
fn conversation(letters: &str) -> Vec<Message> {
    letters.chars().map(|letter| message(letter, 10)).collect()
}

fn message(letter: char, tokens: u64) -> Message {
    let part = match letter.to_ascii_lowercase() {
        's' => Part::System,
        'u' => Part::User,
        'a' => Part::Assistant,
        'c' => Part::Call,
        _ => Part::Result,
    };
    Message { part, tokens, least: if letter.is_ascii_uppercase() { tokens.min(3) } else { tokens } }
}

/// The letters that stay, with the length of those that are cut.
fn told(letters: &str, fates: &[Fate]) -> String {
    let tell = |(letter, fate): (char, &Fate)| match fate {
        Fate::Stay => letter.to_string(),
        Fate::Drop => String::new(),
        Fate::Cut(to) => format!("{letter}{to}"),
    };
    letters.chars().zip(fates).map(tell).collect()
}

fn left(letters: &str, room: u64, rule: Rule) -> Result<String, u64> {
    let fates = fit(&conversation(letters), 0, room, rule);
    fates.map(|fates| told(letters, &fates)).map_err(|error| error.needs)
}

#[test]
fn the_oldest_go_first_and_what_belongs_together_goes_together() {
    let last = |keep_last| Rule { keep_last, ..RULE };
    let rows = [
        ("fits as it is", "suau", 40, RULE, Ok("suau")),
        ("the oldest question takes its answer along", "suauau", 50, RULE, Ok("suau")),
        ("system stays", "suauau", 20, RULE, Ok("su")),
        ("system goes when allowed", "suau", 30, Rule { keep_system: false, ..RULE }, Ok("uau")),
        ("a call takes its results along", "ucrrau", 50, RULE, Ok("uau")),
        ("no question is left without any answer", "ucrrau", 20, RULE, Ok("u")),
        ("a protected result protects its call", "uaucr", 30, RULE, Ok("ucr")),
        ("the steps of a task go, and the task stays", "ucrcrcr", 50, RULE, Ok("ucrcr")),
        ("between a question and its answer the system may speak", "usauau", 40, RULE, Ok("suau")),
        ("what stays keeps its question", "uauau", 40, last(2), Ok("uau")),
        ("though nothing else would need it", "uauau", 50, last(4), Ok("uauau")),
        ("the newest n stay", "uauau", 30, last(3), Ok("uau")),
        ("an answer to nothing goes first", "auau", 30, RULE, Ok("uau")),
        ("nothing left to leave out", "sucrr", 30, RULE, Err(50)),
        ("nothing left that may go", "uauau", 40, last(4), Err(50)),
        ("keep_last 0 keeps one", "uau", 10, last(0), Ok("u")),
    ];
    for (row, letters, room, rule, want) in rows {
        assert_eq!(left(letters, room, rule), want.map(str::to_owned), "{row}");
    }
}

#[test]
fn from_the_middle_out_the_beginning_stays_longest() {
    let rule = Rule { order: Order::MiddleOut, ..RULE };
    // Each exchange has a length of its own, to tell them apart.
    let lengths = [1, 1, 2, 2, 3, 3, 4, 4, 5];
    let messages: Vec<Message> = "uauauauau".chars().zip(lengths).map(|(letter, size)| message(letter, size)).collect();
    for (room, want) in [(25, "112233445"), (24, "1133445"), (18, "11445"), (10, "5"), (13, "445"), (5, "5")] {
        let fates = fit(&messages, 0, room, rule).unwrap();
        let stays = lengths.iter().zip(&fates).filter(|(_, fate)| **fate == Fate::Stay);
        assert_eq!(stays.map(|(length, _)| length.to_string()).collect::<String>(), want, "{room}");
    }
    let steps = "ucrcrcrcr";
    assert_eq!(fit(&conversation(steps), 0, 70, rule).map(|fates| told(steps, &fates)).as_deref(), Ok("ucrcrcr"));
}

#[test]
fn texts_are_cut_when_nothing_else_is_left_and_the_longest_most() {
    let last = |keep_last| Rule { keep_last, ..RULE };
    let rows = [
        ("all that may go goes first", "UAUAU", 10, RULE, Ok("U")),
        ("then the last is cut", "UAU", 7, RULE, Ok("U7")),
        ("no further than can be", "UAU", 2, RULE, Err(3)),
        ("instructions are never cut", "SU", 14, RULE, Ok("SU4")),
        ("nor what holds no text", "uU", 15, last(2), Ok("uU5")),
        ("all to one length", "UAU", 16, last(3), Ok("U5A5U5")),
        ("the question before what was to stay", "UAU", 25, last(2), Ok("U5AU")),
        ("and then that too", "UAU", 13, last(2), Ok("U3A5U5")),
    ];
    for (row, letters, room, rule, want) in rows {
        assert_eq!(left(letters, room, rule), want.map(str::to_owned), "{row}");
    }
}

#[test]
fn what_is_no_message_takes_its_room() {
    let fates = fit(&conversation("uau"), 25, 40, RULE).unwrap();
    assert_eq!(told("uau", &fates), "u");
}

#[test]
fn less_is_left_out_for_fewer_tokens() {
    let messages = conversation("suaucrcrauau");
    let mut before = vec![false; messages.len()];
    for tokens in 0..130 {
        let (dropped, freed) = leave_out(&messages, tokens, RULE);
        assert!(freed >= tokens.min(100), "{tokens}: {freed}");
        assert!(before.iter().zip(&dropped).all(|(before, now)| now >= before), "{tokens}: {dropped:?}");
        before = dropped;
    }
}

/// Numbers that look like any, the same ones every time.
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % bound
    }

    /// A conversation, and for each message the step it belongs to. Most alternate; the others are as people write them.
    fn conversation(&mut self) -> (String, Vec<usize>) {
        let (mut letters, mut steps) = (String::new(), Vec::new());
        let orderly = self.below(4) > 0;
        if self.below(8) == 0 {
            self.say(&mut letters, &mut steps, "a");
        }
        for _ in 0..self.below(8) {
            let questions = if orderly { 1 } else { self.below(3) };
            (0..questions).for_each(|_| self.say(&mut letters, &mut steps, "u"));
            for _ in 0..self.below(4) {
                let call = ["cr", "crr", "crrr"][usize::try_from(self.below(3)).unwrap()];
                self.say(&mut letters, &mut steps, call);
            }
            if orderly || self.below(3) > 0 {
                self.say(&mut letters, &mut steps, "a");
            }
            if self.below(12) == 0 {
                self.say(&mut letters, &mut steps, "s");
            }
        }
        self.say(&mut letters, &mut steps, "u");
        match self.below(3) {
            0 => self.say(&mut letters, &mut steps, "cr"),
            1 => self.say(&mut letters, &mut steps, "a"),
            _ => {}
        }
        if self.below(3) > 0 {
            (letters, steps) = (format!("s{letters}"), [vec![usize::MAX], steps].concat());
        }
        (letters, steps)
    }

    fn say(&mut self, letters: &mut String, steps: &mut Vec<usize>, step: &str) {
        let number = steps.iter().filter(|step| **step != usize::MAX).max().map_or(0, |last| last + 1);
        letters.push_str(step);
        steps.extend(step.chars().map(|_| number));
    }
}

/// Who speaks, as providers that want speakers to alternate see it: what a tool answers is the user's.
fn turns(letters: &str) -> String {
    let speaker = |letter| match letter {
        's' => None,
        'a' | 'c' => Some('a'),
        'r' => Some('r'),
        _ => Some('u'),
    };
    let mut turns: String = letters.chars().filter_map(speaker).collect();
    while turns.contains("rr") {
        turns = turns.replace("rr", "r");
    }
    turns.replace('r', "u")
}

fn alternates(turns: &str) -> bool {
    !turns.contains("uu") && !turns.contains("aa")
}

/// Something to shorten, the same for the same number.
struct Case {
    letters: String,
    steps: Vec<usize>,
    messages: Vec<Message>,
    rule: Rule,
    fixed: u64,
    room: u64,
}

impl Case {
    fn new(dice: &mut Dice) -> Self {
        let (letters, steps) = dice.conversation();
        let mut sized = |letter| {
            let tokens = 1 + dice.below(40);
            Message { least: tokens - dice.below(tokens), ..message(letter, tokens) }
        };
        let messages = letters.chars().map(&mut sized).collect();
        let order = if dice.below(3) == 0 { Order::MiddleOut } else { Order::OldestFirst };
        let keep_last = usize::try_from(dice.below(7)).unwrap();
        let rule = Rule { keep_system: dice.below(4) > 0, keep_last, order };
        Self { letters, steps, messages, rule, fixed: dice.below(30), room: dice.below(500) }
    }

    fn told(&self, fates: &[Fate]) -> String {
        let Self { letters, messages, rule, fixed, room, .. } = self;
        format!("{letters} {messages:?} {rule:?} fixed {fixed} room {room}: {fates:?}")
    }

    fn stays(&self, index: usize) -> bool {
        stays(&self.messages, index, self.rule)
    }

    /// What belongs together with a message that stays.
    fn is_bound(&self, index: usize) -> bool {
        self.together(index).any(|other| self.stays(other))
    }

    fn together(&self, index: usize) -> impl Iterator<Item = usize> {
        let alone = self.steps[index] == usize::MAX;
        (0..self.steps.len())
            .filter(move |other| *other == index || (!alone && self.steps[*other] == self.steps[index]))
    }

    /// It fits, what stays is there, and what belongs together has gone together.
    fn keeps_its_word(&self, fates: &[Fate]) -> bool {
        let size = |(message, fate): (&Message, &Fate)| match fate {
            Fate::Stay => Some(message.tokens),
            Fate::Drop => Some(0),
            Fate::Cut(to) => {
                Some(*to).filter(|to| (message.least..message.tokens).contains(to) && message.part != Part::System)
            }
        };
        let size: Option<u64> = self.messages.iter().zip(fates).map(size).sum();
        let gone = |index: usize| fates[index] == Fate::Drop;
        size.is_some_and(|size| self.fixed + size <= self.room)
            && (0..fates.len()).all(|index| {
                !(gone(index) && self.stays(index)) && self.together(index).all(|other| gone(other) == gone(index))
            })
    }

    /// It is as good a conversation as it was.
    fn is_still_one(&self, fates: &[Fate]) -> bool {
        let kept = self.letters.chars().zip(fates).filter(|(_, fate)| **fate != Fate::Drop).map(|(letter, _)| letter);
        let (before, after) = (turns(&self.letters), turns(&kept.collect::<String>()));
        (alternates(&after) || !alternates(&before)) && (after.starts_with('u') || !before.starts_with('u'))
    }

    /// Before anything was cut, whatever could go went.
    fn cuts_last(&self, fates: &[Fate]) -> bool {
        let may_go = |index: usize| {
            fates[index] != Fate::Drop && self.messages[index].part != Part::User && !self.is_bound(index)
        };
        !(0..fates.len()).any(may_go)
    }

    /// What is left of it if all goes that may go, and all is cut that can be.
    fn least(&self) -> u64 {
        let stays = |index: &usize| self.is_bound(*index) || self.messages[*index].part == Part::User;
        let least = |index: usize| match self.messages[index] {
            Message { part: Part::System, tokens, .. } => tokens,
            Message { least, .. } => least,
        };
        self.fixed + (0..self.messages.len()).filter(stays).map(least).sum::<u64>()
    }
}

#[test]
fn of_a_hundred_thousand_conversations_every_one_fits_and_is_still_one() {
    let mut dice = Dice(20);
    let (mut short, mut refused, mut cut) = (0, 0, 0);
    for number in 0..100_000 {
        let case = Case::new(&mut dice);
        let Ok(fates) = fit(&case.messages, case.fixed, case.room, case.rule) else {
            assert!(case.least() > case.room, "{number}: {}", case.told(&[]));
            refused += 1;
            continue;
        };
        assert!(case.keeps_its_word(&fates) && case.is_still_one(&fates), "{number}: {}", case.told(&fates));
        if fates.iter().any(|fate| matches!(fate, Fate::Cut(_))) {
            assert!(case.cuts_last(&fates), "{number}: {}", case.told(&fates));
            cut += 1;
        }
        short += u32::from(fates.contains(&Fate::Drop));
    }
    assert!(short > 20_000 && refused > 5_000 && cut > 2_000, "{short} were shortened, {cut} cut, {refused} refused");
}
