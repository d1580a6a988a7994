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

const KEYED: &str = "apiVersion: spillway.dev/v1alpha1\nkind: ModelProvider\nmetadata: {name: p, namespace: shop}\n\
                     spec: {type: OpenAICompatible, endpoint: \"https://llm.example/v1\", credentials: {secretRef: \
                     {name: k}}, models: [{name: gpt-4o, contextWindow: 9000}]}\n---\n";
const SECRET: &str = "apiVersion: v1\nkind: Secret\nmetadata: {name: k, namespace: shop, labels: \
                      {spillway.dev/provider-key: \"true\"}, annotations: {spillway.dev/allowed-hosts: api.example}}\n\
                      stringData: {apiKey: sk-1}\n";

fn spillway(arguments: &[&str], input: &str) -> (i32, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_spillway"));
    command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    // No cluster, wherever this runs.
    command.env("KUBECONFIG", "/nonexistent/kubeconfig").env_remove("KUBERNETES_SERVICE_HOST");
    let mut child = command.spawn().unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let Output { status, stdout, stderr } = child.wait_with_output().unwrap();
    (status.code().unwrap(), String::from_utf8(stdout).unwrap(), String::from_utf8(stderr).unwrap())
}

/// What `spillway check` says of one file, and how it exits.
fn checks(row: &str, flags: &[&str], text: &str, want: i32, hint: &str) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("all.yaml");
    std::fs::write(&file, text).unwrap();
    let path = file.display().to_string();
    let (code, out, error) = spillway(&[&["check", &path], flags].concat(), "");
    assert_eq!(code, want, "{row}: {out}{error}");
    assert!(out.contains(hint), "{row}: {out}");
    assert!(out.is_empty() || out.contains("all.yaml"), "{row}: {out}");
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
        checks(row, &flags, &text, want, hint);
    }
}

#[test]
fn a_secret_in_the_files_that_does_not_give_its_key_is_an_error_and_one_that_is_not_there_a_warning() {
    let route = format!("{ROUTE}  backends: [{{name: a, providerRef: {{name: p}}, model: gpt-4o}}]\n");
    let given = SECRET.replace("api.example", "llm.example");
    let rows = [
        (String::new(), 0, "ModelProvider shop/p: spec.credentials.secretRef: no Secret shop/k"),
        (format!("{SECRET}---\n"), 1, "may not be sent to llm.example"),
        (format!("{given}---\n"), 0, ""),
    ];
    for (secret, want, hint) in rows {
        checks(hint, &[], &format!("{secret}{KEYED}{route}"), want, hint);
    }
}

#[test]
fn check_repeats_no_secret_and_overlooks_no_repetition() {
    let provider = |spec: &str| {
        format!(
            "apiVersion: spillway.dev/v1alpha1\nkind: ModelProvider\nmetadata: {{name: p}}\nspec:\n  {spec}\n  credentials: {{none: {{}}}}\n"
        )
    };
    let rows = [
        (
            provider("type: OpenAI\n  endpoint: https://user:canary@a.example/v1"),
            "\"https://…@a.example/v1\" is not a URL such as",
        ),
        (
            provider("type: OpenAI\n  endpoint: https://a.example/v1?key=canary"),
            "\"https://a.example/v1?…\" is not a URL such as",
        ),
        (
            provider("type: OpenAI\n  proxy: {url: 'http://user:canary@egress:3128'}"),
            "\"http://…@egress:3128\" is not a URL such as",
        ),
        (
            provider("type: OpenAI\n  type: Groq"),
            ":6: is not YAML as Kubernetes takes it: spec: \"type\" is given twice, in line 5 and in line 6",
        ),
        (provider("type: AzureOpenAI"), "for example https://my-resource.openai.azure.com"),
        (provider("type: Ollama"), "for example http://ollama.models.svc:11434"),
        ("kind: ModelRoute\n\tspec: {}\n".to_owned(), "is not YAML"),
    ];
    for (text, want) in rows {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("all.yaml"), text).unwrap();
        let (code, out, error) = spillway(&["check", &folder.path().display().to_string()], "");
        assert!(code == 1 && out.contains(want), "{want}: {out}{error}");
        assert!(!out.contains("canary") && !error.contains("canary"), "{out}{error}");
    }
}

/// Two providers, a route whose prompts may go on to a larger window, and one thing that is not as it should be.
const SHOP: &str = "\
apiVersion: spillway.dev/v1alpha1
kind: ModelProvider
metadata: {name: p, namespace: shop}
spec: {type: OpenAI, credentials: {none: {}}}
---
apiVersion: spillway.dev/v1alpha1
kind: ModelRoute
metadata: {name: chat, namespace: shop}
spec:
  backends:
  - {name: mini, providerRef: {name: p}, model: gpt-4o-mini}
  - {name: big, providerRef: {name: p}, model: gpt-4.1, role: Fallback}
---
apiVersion: spillway.dev/v1alpha1
kind: FallbackPolicy
metadata: {name: chat, namespace: shop}
spec:
  targetRefs: [{group: spillway.dev, kind: ModelRoute, name: chat}]
  contextWindow: {onExceeded: LargerModel}
  fallbacks: [{onErrors: [ContextWindowExceeded], to: [big]}]
";

#[test]
fn explain_shows_who_answers_and_why_nobody_else_does() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("all.yaml"), SHOP).unwrap();
    let path = folder.path().display().to_string();
    let (code, out, error) = spillway(&["explain", "chat", &path, "--tokens", "150k", "--tools"], "");
    let want = "\
ModelRoute shop/chat serves chat; FallbackPolicy shop/chat; contextWindow.onExceeded: LargerModel
a prompt of 150000 tokens, 1024 kept for the answer, with tools

first choices, in this order:
  mini  OpenAI gpt-4o-mini  window 128000  at most $0.0323304  skipped: too long: the prompt has 150000 tokens and 1024 are kept for the answer, of a window of 128000

larger windows, by the rule for ContextWindowExceeded, the smallest first:
  big  OpenAI gpt-4.1  window 1047576  at most $0.562144  asked

if big fails with ContextWindowExceeded:
  big  OpenAI gpt-4.1  window 1047576  at most $0.562144  skipped: it is the one that failed

answered by big; 1 retry there on ConnectionError
";
    assert_eq!((code, out.as_str()), (0, want), "{error}");
    let nothing = tempfile::tempdir().unwrap();
    let empty = nothing.path().display().to_string();
    let rows: [(&[&str], i32, &str); 11] = [
        (&["explain", "shop/chat", &path, "--tokens", "9k", "-o", "json"], 0, "\"backend\": \"mini\""),
        (&["explain", "chat", &path, "--tokens", "2m"], 1, "refused: the prompt does not fit mini"),
        (&["explain", "chta", &path, "--tokens", "1"], 1, "there is no ModelRoute chta (there is shop/chat)"),
        (
            &["explain", "chat", &path, "-n", "other", "--tokens", "1"],
            1,
            "there is no ModelRoute other/chat; the model \"chat\" is served by shop/chat",
        ),
        (&["explain", "chat", &empty, "--tokens", "1"], 1, "there are no resources of Spillway in "),
        (
            &["explain", "chat", "/nonexistent", "--tokens", "1"],
            1,
            "spillway: /nonexistent cannot be read: No such file",
        ),
        (&["analyze", "/nonexistent"], 1, "spillway: /nonexistent cannot be read: No such file"),
        (&["check", "/nonexistent"], 1, "spillway: /nonexistent cannot be read: No such file"),
        (&["explain", "chat", &path], 2, "--tokens <TOKENS>"),
        (&["explain", "chat", &path, "--tokens", "many"], 2, "is no number of tokens"),
        (&["explain", "chat", "--tokens", "1"], 1, "no cluster to talk to: failed to read kubeconfig from"),
    ];
    for (arguments, want, hint) in rows {
        let (code, out, error) = spillway(arguments, "");
        assert_eq!(code, want, "{arguments:?}: {out}{error}");
        assert!(out.contains(hint) || error.contains(hint), "{arguments:?}: {out}{error}");
    }
}

#[test]
fn analyze_says_what_is_wrong_or_risky_and_exits_by_the_worst() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("all.yaml");
    let path = file.display().to_string();
    std::fs::write(&file, SHOP).unwrap();
    let (code, out, error) = spillway(&["analyze", &path, "--strict"], "");
    let want = format!(
        "{path}: info: ModelRoute shop/chat: spec.backends: when ModelProvider shop/p is down, nobody answers: add a backend at \
         another provider, and a FallbackPolicy with a rule for ConnectionError, ServiceUnavailable and Timeout \
         (SinglePointOfFailure)\n"
    );
    assert_eq!((code, out.as_str(), error.as_str()), (0, want.as_str(), "3 objects, 0 errors, 0 warnings, 1 hint\n"));
    std::fs::write(&file, SHOP.replace("gpt-4.1, role", "gpt-4, role")).unwrap();
    let (code, out, _) = spillway(&["analyze", &path, "-o", "json"], "");
    let json: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!((code, &json["errors"]), (1, &1.into()), "{out}");
    let first = &json["findings"][0];
    assert_eq!((&first["severity"], &first["object"]), (&"error".into(), &"FallbackPolicy shop/chat".into()), "{out}");
    assert!(
        first["why"].as_str().unwrap().contains("\"mini\" (128000 tokens) does not fit \"big\" (8192 tokens)"),
        "{out}"
    );
    assert_eq!(first["fix"], "name a backend with a larger window");
    let (code, _, error) = spillway(&["analyze"], "");
    assert!(code == 1 && error.contains("no cluster to talk to"), "{error}");
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
        (
            vec!["dev", &path, "--endpoint", "nope=http://127.0.0.1:1", "--", "true"],
            125,
            "--endpoint nope: there is no such ModelProvider (there is shop/p)",
        ),
        (
            vec!["dev", &path, "--endpoint", "ai/p=http://127.0.0.1:1", "--", "true"],
            125,
            "--endpoint ai/p: there is no",
        ),
    ];
    for (arguments, want, hint) in rows {
        let (code, out, error) = spillway(&arguments, "");
        assert_eq!((code, out.as_str()), (want, ""), "{arguments:?}: {error}");
        assert!(error.contains(hint), "{arguments:?}: {error}");
    }
}

#[test]
fn help_teaches_by_example_and_lists_exit_codes() {
    let (_, out, _) = spillway(&["--help"], "");
    let listed = out.lines().skip_while(|line| *line != "Commands:").skip(1).take_while(|line| !line.is_empty());
    let commands: Vec<&str> = listed.filter_map(|line| line.split_whitespace().next()).collect();
    assert!(commands.contains(&"analyze") && commands.contains(&"explain"), "{commands:?}");
    for command in commands.iter().filter(|command| **command != "help").chain(&[""]) {
        let line: Vec<&str> = [*command, "--help"].into_iter().filter(|word| !word.is_empty()).collect();
        let (code, out, _) = spillway(&line, "");
        assert_eq!(code, 0);
        assert!(out.contains("Examples:") && out.contains("Exit codes"), "{command:?}: {out}");
    }
}

#[test]
fn models_lists_compares_and_says_what_it_did_not_understand() {
    let rows: [(&[&str], i32, &str); 27] = [
        (&["gpt-4o-mini", "-p", "openai"], 0, "OpenAI    gpt-4o-mini "),
        (&["--tools", "--window", "200k", "--sort", "cost", "-n", "5"], 0, "PROVIDER"),
        (&["-p", "OpenAI", "gpt-5.6", "--compare", "100k in, 1k out", "-n", "1"], 0, "$0."),
        (&["-p", "OpenAI", "gpt-4o-mini", "-o", "csv"], 0, "OpenAI,gpt-4o-mini,chat,128000,16384,0.15,0.60,0.075,"),
        (&["-p", "OpenAI", "gpt-4o-mini", "-o", "json"], 0, "\"inputPerMillion\": \"0.15\""),
        (&["no-such-model"], 0, "none of the "),
        (&["-p", "OpnAI"], 2, "there is no such type of provider (models are known of AI21,"),
        (&["--window", "large"], 2, "is no number of tokens (examples: 8192, 200k, 1.5m)"),
        (&["--compare", "100k"], 2, "is no amount of something"),
        (&["--compare", "1k in, 2k in"], 2, "\"in\" is given twice"),
        (&["-n", "0"], 2, "shows nothing"),
        (&["-n", "many"], 2, "is no number of models"),
        (
            &["-p", "OpenAI", "gpt-4o-mini", "--compare", "127k in, 2k out"],
            0,
            "gpt-4o-mini takes 128000 of the 129000 tokens",
        ),
        (
            &["-p", "OpenAI", "gpt-4o-mini", "--compare", "1k in, 20k out"],
            0,
            "answers with up to 16384 of the 20000 tokens",
        ),
        (&["-p", "OpenAI", "whisper-1"], 0, "whisper-1  transcription       -       -    -     -  $0.0001/second  "),
        (&["-p", "OpenAI", "tts-1", "-o", "json"], 0, "\"perMillionCharacters\": \"15.00\""),
        (&["-p", "AzureOpenAI", "dall-e-3"], 0, "$0.04400003154*/image"),
        (&["-p", "Cohere", "rerank-v3.5", "-o", "csv"], 0, ",0.002,false,"),
        (&["-p", "Voyage"], 0, "(hint: try --mode embedding,rerank)"),
        (&["-p", "Voyage", "--mode", "embedding,rerank"], 0, "rerank-2.5 "),
        (&["--mode", "talking"], 2, "is none of chat, responses,"),
        (&["--compare", "10 minutes", "-n", "1"], 0, "transcription"),
        (
            &["-p", "OpenAI", "whisper-1", "--compare", "1k in"],
            0,
            "1 model is shown without a cost, for want of a price",
        ),
        (&["--compare", "1k in, 2 images"], 2, "ask for it alone"),
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
fn models_that_are_switched_off_are_listed_where_somebody_asks_for_them() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("models.json").display().to_string();
    let rows = r#"{"GitHubModels": {"old-mini": {"deprecationDate": "2020-01-31"}, "new-mini": {"deprecationDate": "9999-01-31"}}}"#;
    std::fs::write(&file, rows).unwrap();
    let left_out = "spillway: 1 model is left out, switched off by now: GitHubModels old-mini\n";
    let ways: [(&[&str], bool); 3] = [(&[], false), (&["mini"], true), (&["--sort", "deprecation"], true)];
    for (arguments, want) in ways {
        let arguments = [&["models", "-p", "GitHubModels", "--catalogue", &file], arguments].concat();
        let (_, out, error) = spillway(&arguments, "");
        assert_eq!(
            (out.contains("old-mini"), error.as_str()),
            (want, if want { "" } else { left_out }),
            "{arguments:?}"
        );
        assert!(out.contains("new-mini"), "{out}");
    }
}

#[test]
fn what_models_prints_is_what_an_override_takes() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("models.json").display().to_string();
    let (_, printed, said) = spillway(&["models", "-o", "json", "--compare", "100 in"], "");
    std::fs::write(&file, &printed).unwrap();
    let (code, again, error) = spillway(&["models", "-o", "json", "--compare", "100 in", "--catalogue", &file], "");
    assert_eq!((code, error), (0, said));
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
