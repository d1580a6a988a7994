//! A form (`multipart/form-data`) as its parts.
//!
//! Its short texts become the fields of a [`Body`], so that whatever decides by a request's fields, or sets them, need not
//! know that it came as a form. What goes out is written anew from what was read here, part by part, and never the bytes as
//! they came: two readers of one form may disagree on where a part ends or what it is called. For the same reason parts are
//! kept apart by a boundary that the sender cannot have known.

use std::{collections::hash_map::RandomState, convert::Infallible, fmt, hash::BuildHasher};

use bytes::{BufMut, Bytes, BytesMut};
use futures::{FutureExt as _, stream};
use http::HeaderValue;
use memchr::memmem;
use multer::Multipart;
use serde_json::{Map, Value};
use spillway_providers::{BadRequest, Body};

use crate::error::ProxyError;

use super::pieces::Pieces;

/// OpenAI takes sixteen images and a dozen fields.
const MAX_PARTS: usize = 128;

/// A longer text is no parameter.
const MAX_FIELD_BYTES: usize = 64 << 10;

/// What was sent.
#[derive(Clone, Debug)]
pub(super) struct Form {
    /// Ours, and in no part. The sender's own may well be in one, behind a line feed that ends a line for some and not for
    /// others: what is data here would be a part for them.
    boundary: String,
    parts: Vec<Part>,
}

#[derive(Clone, Debug)]
struct Part {
    name: String,
    /// None: it is no file.
    file: Option<String>,
    content_type: Option<String>,
    data: Bytes,
    /// It is a field of the [`Body`], whose value counts.
    is_field: bool,
}

// === impl Form ===

impl Form {
    /// Takes a form apart.
    pub(super) fn read(content_type: Option<&HeaderValue>, bytes: Bytes) -> Result<(Self, Body), ProxyError> {
        // All of it is here, so there is nothing to wait for.
        let mut parts = parts(content_type, bytes).now_or_never().ok_or_else(|| unreadable(&"it does not end"))??;
        let fields = fields(&mut parts)?;
        Ok((Self { boundary: boundary_of_none(&parts), parts }, fields))
    }

    /// What the header says of it.
    pub(super) fn content_type(&self) -> Option<HeaderValue> {
        HeaderValue::from_str(&format!("multipart/form-data; boundary={}", self.boundary)).ok()
    }

    /// The form with these fields instead of its own, and without whatever else has the name of one: what a policy sets is
    /// all that is said on it.
    pub(super) fn to_bytes(&self, fields: &Body) -> Bytes {
        let size: usize = self.parts.iter().map(|part| part.data.len() + part.name.len() + 256).sum();
        let mut out = BytesMut::with_capacity(size + 256);
        for part in &self.parts {
            match fields.value(&part.name) {
                Some(value) if part.is_field => self.write(&mut out, part, text(value).as_bytes()),
                None if !part.is_field => self.write(&mut out, part, &part.data),
                _ => {}
            }
        }
        for key in fields.keys().filter(|key| !self.parts.iter().any(|part| part.is_field && part.name == **key)) {
            let part = Part::field(key);
            self.write(&mut out, &part, text(fields.value(key).unwrap_or_default()).as_bytes());
        }
        out.put_slice(format!("--{}--\r\n", self.boundary).as_bytes());
        out.freeze()
    }

    fn write(&self, out: &mut BytesMut, part: &Part, data: &[u8]) {
        let Part { name, file, content_type, .. } = part;
        let file = file.as_ref().map(|file| format!("; filename=\"{}\"", quoted(file))).unwrap_or_default();
        let kind = content_type.as_ref().map(|kind| format!("content-type: {kind}\r\n")).unwrap_or_default();
        let head = format!(
            "--{}\r\nContent-Disposition: form-data; name=\"{}\"{file}\r\n{kind}\r\n",
            self.boundary,
            quoted(name)
        );
        out.put_slice(head.as_bytes());
        out.put_slice(data);
        out.put_slice(b"\r\n");
    }
}

// === impl Part ===

impl Part {
    fn field(name: &str) -> Self {
        Self { name: name.to_owned(), file: None, content_type: None, data: Bytes::new(), is_field: true }
    }

    fn has(&self, text: &str) -> bool {
        let Self { name, file, content_type, data, is_field: _ } = self;
        let finder = memmem::Finder::new(text);
        let words = [Some(name), file.as_ref(), content_type.as_ref()].into_iter().flatten().map(String::as_bytes);
        words.chain([&**data]).any(|bytes| finder.find(bytes).is_some())
    }
}

async fn parts(content_type: Option<&HeaderValue>, bytes: Bytes) -> Result<Vec<Part>, ProxyError> {
    let text = content_type.and_then(|value| value.to_str().ok()).unwrap_or_default();
    let boundary = multer::parse_boundary(text).map_err(|error| unreadable(&error))?;
    let stream = stream::iter([Ok::<_, Infallible>(bytes)]);
    let mut form = Multipart::new(stream, boundary.as_str());
    let mut parts = Vec::new();
    while let Some(mut field) = form.next_field().await.map_err(|error| unreadable(&error))? {
        if parts.len() == MAX_PARTS {
            let message = format!("form has more than {MAX_PARTS} parts");
            return Err(BadRequest { param: None, message }.into());
        }
        let (name, file) = (field.name().unwrap_or_default().to_owned(), field.file_name().map(str::to_owned));
        // Some take it for an escape, and would read another name.
        if name.contains('\\') {
            let message = format!("form has a part with a backslash in its name: {name:?} (leave it out)");
            return Err(BadRequest { param: Some(name), message }.into());
        }
        let content_type = field.content_type().map(ToString::to_string);
        let mut data = Pieces::default();
        while let Some(piece) = field.chunk().await.map_err(|error| unreadable(&error))? {
            data.push(piece);
        }
        parts.push(Part { name, file, content_type, data: data.join(), is_field: false });
    }
    Ok(parts)
}

fn unreadable(why: &dyn fmt::Display) -> BadRequest {
    BadRequest { param: None, message: format!("form is unreadable: {why}") }
}

/// Marks what is a field, and gathers it. A name that is there more than once is a list, which no policy reads.
fn fields(parts: &mut [Part]) -> Result<Body, ProxyError> {
    let mut fields = Map::new();
    for index in 0..parts.len() {
        let Part { name, file, data, .. } = &parts[index];
        let is_alone = parts.iter().filter(|other| other.name == *name).count() == 1;
        if name == "model" && !is_alone {
            let message = "form has more than one \"model\" (send it once)".to_owned();
            return Err(BadRequest { param: Some("model".to_owned()), message }.into());
        }
        let text = std::str::from_utf8(data).ok().filter(|_| file.is_none() && data.len() <= MAX_FIELD_BYTES);
        let Some(text) = text.filter(|_| is_alone) else {
            if name == "model" {
                let message =
                    "form's \"model\" is a file, too long or not UTF-8 (send the model's name as a plain field)";
                return Err(BadRequest { param: Some("model".to_owned()), message: message.to_owned() }.into());
            }
            continue;
        };
        fields.insert(name.clone(), text.into());
        parts[index].is_field = true;
    }
    Ok(Body::parse(Value::from(fields).to_string().into())?)
}

/// A boundary that is in no part, and that nobody can foresee: the hash has keys of its own each time, from the system's
/// source of randomness.
fn boundary_of_none(parts: &[Part]) -> String {
    loop {
        let [one, two] = [(); 2].map(|()| RandomState::new().hash_one(parts.len()));
        let boundary = format!("spillway-{one:016x}{two:016x}");
        if !parts.iter().any(|part| part.has(&boundary)) {
            return boundary;
        }
    }
}

fn text(value: Value) -> String {
    if let Value::String(text) = value { text } else { value.to_string() }
}

/// As browsers write it.
fn quoted(name: &str) -> String {
    name.replace('"', "%22").replace('\r', "%0D").replace('\n', "%0A")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent(parts: &[(&str, &str)]) -> Bytes {
        let part =
            |(head, data): &(&str, &str)| format!("--b\r\nContent-Disposition: form-data; {head}\r\n\r\n{data}\r\n");
        (parts.iter().map(part).collect::<String>() + "--b--\r\n").into()
    }

    fn read(bytes: Bytes) -> Result<(Form, Body), ProxyError> {
        Form::read(Some(&HeaderValue::from_static("multipart/form-data; boundary=b")), bytes)
    }

    /// What goes out, as if its boundary were `b`.
    fn written(form: &Form, fields: &Body) -> String {
        String::from_utf8(form.to_bytes(fields).to_vec()).unwrap().replace(&form.boundary, "b")
    }

    #[test]
    fn fields_are_read_and_set_and_files_stay_as_they_are() {
        let audio = "RIFF\r\n--x\r\n\0";
        let bytes = sent(&[
            ("name=\"file\"; filename=\"a\\\"b.wav\"\r\nContent-Type: audio/wav", audio),
            ("name=\"model\"", "ears"),
            ("name=\"granularities[]\"", "word"),
            ("name=\"granularities[]\"", "segment"),
            ("name=\"temperature\"", "0"),
        ]);
        let (form, mut fields) = read(bytes).unwrap();
        assert_eq!(fields.keys().collect::<Vec<_>>(), ["model", "temperature"]);
        fields.set("model", &"whisper-1".into());
        fields.set("language", &"de".into());
        fields.remove("temperature");
        let out = written(&form, &fields);
        let want = [
            "name=\"file\"; filename=\"a%22b.wav\"\r\ncontent-type: audio/wav\r\n\r\nRIFF\r\n--x\r\n\0\r\n--b\r\n",
            "name=\"model\"\r\n\r\nwhisper-1\r\n--b\r\n",
            "name=\"granularities[]\"\r\n\r\nword\r\n--b\r\n",
            "name=\"granularities[]\"\r\n\r\nsegment\r\n--b\r\n",
            "name=\"language\"\r\n\r\nde\r\n--b--\r\n",
        ];
        assert_eq!(
            out,
            format!("--b\r\nContent-Disposition: form-data; {}", want.join("Content-Disposition: form-data; "))
        );
        let (again, _) = read(out.into()).unwrap();
        assert_eq!(again.parts[0].data, audio);
    }

    #[test]
    fn what_looks_like_the_senders_next_part_is_data_for_everybody() {
        let second = "--b\nContent-Disposition: form-data; name=\"model\"\n\nlarge";
        for ends in ["\n", "\r"] {
            let file = format!("RIFF{ends}{second}\n");
            let sent = sent(&[("name=\"model\"", "ears"), ("name=\"file\"; filename=\"a\"", &file)]);
            let (form, fields) = read(sent.clone()).unwrap();
            let out = String::from_utf8(form.to_bytes(&fields).to_vec()).unwrap();
            let header = form.content_type().unwrap();
            let (_, boundary) = header.to_str().unwrap().split_once("boundary=").unwrap();
            assert!(out.starts_with(&format!("--{boundary}\r\n")) && out.contains(&file), "{out}");
            assert_eq!(out.matches(boundary).count(), 3, "two parts and the end: {out}");
            let (other, _) = read(sent).unwrap();
            assert!(other.boundary != form.boundary && form.boundary.len() > 32, "nobody knows it beforehand");
        }
    }

    #[test]
    fn a_field_that_is_set_is_there_once_whatever_was_sent_under_its_name() {
        let long = "x".repeat(MAX_FIELD_BYTES + 1);
        let rows: [&[(&str, &str)]; 3] = [
            &[("name=\"language\"", "en"), ("name=\"language\"", "fr")],
            &[("name=\"language\"; filename=\"x\"", "en")],
            &[("name=\"language\"", &long)],
        ];
        let binary =
            [&b"--b\r\nContent-Disposition: form-data; name=\"language\"\r\n\r\n\xff\r\n--b--\r\n"[..]].concat();
        for bytes in rows.into_iter().map(sent).chain([binary.into()]) {
            let (form, mut fields) = read(bytes).unwrap();
            fields.set("language", &"de".into());
            let want = "--b\r\nContent-Disposition: form-data; name=\"language\"\r\n\r\nde\r\n--b--\r\n";
            assert_eq!(written(&form, &fields), want);
        }
        let error = read(sent(&[("name=\"langu\\age\"", "en")])).unwrap_err();
        assert!(error.to_string().contains("backslash"), "{error}");
    }

    #[test]
    fn what_is_no_form_or_two_at_once_is_refused() {
        let twice = sent(&[("name=\"model\"", "a"), ("name=\"model\"; filename=\"x\"", "b")]);
        let mut cut = sent(&[("name=\"model\"", "a")]);
        cut.truncate(cut.len() - 8);
        for (bytes, word) in [(twice, "more than one"), (cut, "unreadable"), (Bytes::from("model=a"), "unreadable")] {
            let error = read(bytes).unwrap_err();
            assert!(error.to_string().contains(word), "{error}");
        }
        let many = vec![("name=\"x[]\"", ""); MAX_PARTS + 1];
        assert!(read(sent(&many)).unwrap_err().to_string().contains("128"));
        let header = HeaderValue::from_static("multipart/form-data");
        assert!(Form::read(Some(&header), Bytes::new()).is_err());
    }
}
