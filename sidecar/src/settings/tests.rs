use super::*;

fn pem() -> String {
    let key = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    key.cert.pem()
}

fn read(pairs: &[(&str, &str)]) -> Result<Settings, String> {
    Settings::read(pairs.iter().map(|(name, value)| (name.into(), value.into()))).map_err(|invalid| invalid.to_string())
}

#[test]
fn a_file_source_needs_nothing_else() {
    let settings =
        read(&[("SPILLWAY_CONFIG_FILE", "/etc/snapshot.json"), ("PATH", "/bin"), ("SPILLWAY_POD", "")]).unwrap();
    assert!(matches!(settings.source, Source::File { credentials: None, .. }));
    assert_eq!(settings.data_addr.to_string(), "127.0.0.1:4040");
    assert_eq!(settings.admin_addr.to_string(), "0.0.0.0:4041");
    assert_eq!(settings.drain, Duration::from_secs(25));
    assert_eq!(settings.tokenizer_idle, Duration::from_secs(600));
    assert_eq!((settings.journal_dir, settings.pod), (None, None));
}

#[test]
fn an_operator_source_is_normalised() {
    let pem = pem();
    let settings = read(&[("SPILLWAY_OPERATOR", "https://spillway.x.svc:8443/"), ("SPILLWAY_CA_PEM", &pem)]).unwrap();
    let Source::Operator(operator) = settings.source else { panic!("expected an operator") };
    assert_eq!(operator.url, "https://spillway.x.svc:8443");
    assert_eq!(operator.token_file, PathBuf::from(TOKEN_FILE));
}

#[test]
fn every_problem_names_the_variable_the_value_and_the_fix() {
    let file = ("SPILLWAY_CONFIG_FILE", "s.json");
    let rows: &[(&[(&str, &str)], &str)] = &[
        (&[], "SPILLWAY_OPERATOR is not set: config has to come from somewhere"),
        (
            &[file, ("SPILLWAY_OPERATOR", "https://a:1")],
            "SPILLWAY_CONFIG_FILE=\"s.json\": SPILLWAY_OPERATOR is set too",
        ),
        (&[("SPILLWAY_OPERATOR", "https://a:1")], "SPILLWAY_CA_PEM is not set: it is the CA"),
        (
            &[("SPILLWAY_OPERATOR", "https://a:1"), ("SPILLWAY_CA_PEM", "/ca.pem")],
            "SPILLWAY_CA_PEM=\"/ca.pem\": has no cert",
        ),
        (&[("SPILLWAY_OPERATOR", "http://a:1")], "SPILLWAY_OPERATOR=\"http://a:1\": has to be https"),
        (&[("SPILLWAY_OPERATOR", "https://a:1/x")], "has a path"),
        (&[("SPILLWAY_OPERATOR", "https://u:p@a:1")], "has user information"),
        (&[("SPILLWAY_OPERATOR", "::")], "write https://HOST:PORT"),
        (&[file, ("SPILLWAY_DATA_ADDR", "0.0.0.0:4040")], "SPILLWAY_DATA_ADDR=\"0.0.0.0:4040\": is not loopback"),
        (&[file, ("SPILLWAY_DATA_ADDR", "4040")], "is not an address; write IP:PORT"),
        (&[file, ("SPILLWAY_ADMIN_ADDR", "0.0.0.0:4040")], "port 4040 is that of SPILLWAY_DATA_ADDR too"),
        (&[file, ("SPILLWAY_LOG", "loud")], "SPILLWAY_LOG=\"loud\""),
        (&[file, ("SPILLWAY_DRAIN", "25")], "SPILLWAY_DRAIN=\"25\": is not a duration"),
        (&[file, ("SPILLWAY_DRAIN", "2h")], "is longer than 1h"),
    ];
    for (pairs, want) in rows {
        let problem = read(pairs).unwrap_err();
        assert!(problem.contains(want), "{pairs:?} said {problem:?}, not {want:?}");
    }
}

#[test]
fn all_problems_are_told_at_once() {
    let problem = read(&[("SPILLWAY_DRAIN", "x"), ("SPILLWAY_LOG", "y"), ("SPILLWAY_DATA_ADDR", "z")]).unwrap_err();
    assert_eq!(problem.lines().count(), 4, "{problem}");
}

#[test]
fn a_value_that_is_not_text_is_a_problem() {
    use std::os::unix::ffi::OsStringExt;
    let value = OsString::from_vec(vec![0xff, 0xfe]);
    let invalid = Settings::read([("SPILLWAY_POD".into(), value)]).unwrap_err();
    assert!(invalid.to_string().contains("SPILLWAY_POD"), "{invalid}");
}

#[test]
fn durations_are_those_of_the_gateway_api() {
    let rows = [
        ("0s", Some(0)),
        ("25s", Some(25_000)),
        ("1m30s", Some(90_000)),
        ("1h", Some(3_600_000)),
        ("500ms", Some(500)),
    ];
    let refused = ["", "5", "s", "-1s", "1.5s", "1s1s", "1d", "123456s", "1 s", "s5"].map(|value| (value, None));
    for (value, millis) in rows.into_iter().chain(refused) {
        assert_eq!(duration(value), millis.map(Duration::from_millis), "{value:?}");
    }
}

#[test]
fn help_lists_every_variable() {
    let help = help();
    for variable in VARIABLES {
        assert!(help.contains(variable.name), "{}", variable.name);
    }
}
