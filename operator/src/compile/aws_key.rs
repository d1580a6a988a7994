//! Keys of AWS as people have them, made into the one form that sidecars read ([`wire::AwsKey`]).
//!
//! A key has two or three parts, and comes as JSON (`{"accessKeyId": …}`, or what `aws sts` and `aws iam` print), as the file
//! that `aws configure` writes, or as lines for an environment. What is none of these and one word is an API key of Bedrock's,
//! which travels as it is.

use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;
use spillway_wire as wire;

/// What of a key has been found.
#[derive(Default)]
struct Found {
    id: Option<String>,
    secret: Option<String>,
    token: Option<String>,
}

/// The key as sidecars read it, or what is wrong with it. Never quotes any of it.
pub(super) fn normalise(key: &SecretString) -> Result<SecretString, String> {
    let text = key.expose_secret().trim();
    let mut found = Found::default();
    if text.starts_with('{') {
        let value: Value =
            serde_json::from_str(text).map_err(|error| format!("begins as JSON and is none: {error}"))?;
        found.read(&value);
    } else if text.starts_with('[') || text.to_ascii_lowercase().contains("aws_") {
        for line in text.lines() {
            let line = line.trim();
            let line = line.strip_prefix("export ").unwrap_or(line);
            if let Some((name, value)) = line.split_once('=') {
                found.take(name.trim(), value.trim().trim_matches(['"', '\'']));
            }
        }
    } else {
        return api_key(text);
    }
    found.into_key()
}

/// An API key is one word. A part of the other kind of key is one word too, and of no use alone.
fn api_key(text: &str) -> Result<SecretString, String> {
    let is_id = (16..=32).contains(&text.len()) && (text.starts_with("AKIA") || text.starts_with("ASIA"));
    if is_id {
        return Err(format!("is the id of an access key and lacks its secret: {WANTED}"));
    }
    if text.contains(char::is_whitespace) {
        return Err(format!("is neither an API key of Bedrock nor an access key: {WANTED}"));
    }
    Ok(SecretString::from(text))
}

const WANTED: &str = r#"write {"accessKeyId": "…", "secretAccessKey": "…"}, with "sessionToken" for a temporary one"#;

// === impl Found ===

impl Found {
    /// Looks through objects within objects: `aws sts` wraps the key into `Credentials`, `aws iam` into `AccessKey`.
    fn read(&mut self, value: &Value) {
        for (name, value) in value.as_object().into_iter().flatten() {
            match value {
                Value::String(text) => self.take(name, text),
                value => self.read(value),
            }
        }
    }

    /// The first of each part counts: of a file with several profiles, the first.
    fn take(&mut self, name: &str, value: &str) {
        let name: String = name.chars().filter(char::is_ascii_alphanumeric).collect();
        let name = name.to_ascii_lowercase();
        let part = match name.strip_prefix("aws").unwrap_or(&name) {
            "accesskeyid" => &mut self.id,
            "secretaccesskey" => &mut self.secret,
            "sessiontoken" => &mut self.token,
            _ => return,
        };
        if part.is_none() && !value.is_empty() {
            *part = Some(value.to_owned());
        }
    }

    fn into_key(self) -> Result<SecretString, String> {
        let (Some(access_key_id), Some(secret_access_key)) = (self.id, self.secret) else {
            return Err(format!("has not both parts of an access key: {WANTED}"));
        };
        let key = wire::AwsKey { access_key_id, secret_access_key, session_token: self.token };
        let written = serde_json::to_string(&key).map_err(|error| error.to_string())?;
        let plain = written.bytes().all(|byte| byte.is_ascii_graphic());
        if plain { Ok(written.into()) } else { Err("has characters that are in no access key".to_owned()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_of_a_key_becomes_the_one_sidecars_read() {
        let plain = r#"{"accessKeyId":"AKIAX","secretAccessKey":"s/+="}"#;
        let temporary = r#"{"accessKeyId":"ASIAX","secretAccessKey":"s","sessionToken":"t=="}"#;
        let rows = [
            (r#"{ "accessKeyId": "AKIAX", "secretAccessKey": "s/+=" }"#, plain),
            ("[default]\naws_access_key_id = AKIAX\naws_secret_access_key = s/+=\nregion = us-east-1\n", plain),
            ("[a]\naws_access_key_id=AKIAX\naws_secret_access_key=s/+=\n[b]\naws_access_key_id=AKIAY\n", plain),
            ("export AWS_ACCESS_KEY_ID=\"AKIAX\"\nexport AWS_SECRET_ACCESS_KEY='s/+='", plain),
            (
                r#"{"Credentials":{"AccessKeyId":"ASIAX","SecretAccessKey":"s","SessionToken":"t==","Expiration":"x"}}"#,
                temporary,
            ),
            (r#"{"AccessKey":{"UserName":"u","AccessKeyId":"AKIAX","SecretAccessKey":"s/+="}}"#, plain),
            ("ABSKQmVkcm9ja0FQSUtleS1leGFtcGxl=", "ABSKQmVkcm9ja0FQSUtleS1leGFtcGxl="),
        ];
        for (text, want) in rows {
            let key = normalise(&SecretString::from(text)).unwrap();
            assert_eq!(key.expose_secret(), want, "{text}");
        }
    }

    #[test]
    fn what_is_no_key_is_refused_and_not_repeated() {
        let rows = [
            ("AKIAIOSFODNN7EXAMPLE", "lacks its secret"),
            (r#"{"accessKeyId":"canary"}"#, "not both parts"),
            ("[default]\naws_access_key_id = canary\n", "not both parts"),
            (r#"{"accessKeyId": canary}"#, "begins as JSON and is none"),
            ("two canaries", "neither an API key"),
            (r#"{"accessKeyId":"cänary","secretAccessKey":"s"}"#, "in no access key"),
        ];
        for (text, want) in rows {
            let error = normalise(&SecretString::from(text)).unwrap_err();
            assert!(error.contains(want) && !error.contains("anar"), "{text}: {error}");
        }
    }
}
