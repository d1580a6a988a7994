//! A form (`multipart/form-data`) as its parts.
//!
//! Its short texts become the fields of a [`Body`], so that whatever decides by a request's fields, or sets them, need not
//! know that it came as a form. What goes out is written anew from what was read here, part by part, and never the bytes as
//! they came: two readers of one form may disagree on where a part ends or what it is called.

use std::convert::Infallible;

use bytes::{BufMut, Bytes, BytesMut};
use futures::stream;
use http::HeaderValue;
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
    /// The sender's own: it is certain not to be in any part.
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
    pub(super) async fn read(content_type: Option<&HeaderValue>, bytes: Bytes) -> Result<(Self, Body), ProxyError> {
        let unreadable =
            |error: multer::Error| BadRequest { param: None, message: format!("form is unreadable: {error}") };
        let text = content_type.and_then(|value| value.to_str().ok()).unwrap_or_default();
        let boundary = multer::parse_boundary(text).map_err(unreadable)?;
        if !boundary.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"'()+_,-./:=?".contains(&byte)) {
            let message = format!("form has a boundary no form may have: {boundary:?}");
            return Err(BadRequest { param: None, message }.into());
        }
        let stream = stream::iter([Ok::<_, Infallible>(bytes)]);
        let mut form = Multipart::new(stream, boundary.as_str());
        let mut parts = Vec::new();
        while let Some(mut field) = form.next_field().await.map_err(unreadable)? {
            if parts.len() == MAX_PARTS {
                let message = format!("form has more than {MAX_PARTS} parts");
                return Err(BadRequest { param: None, message }.into());
            }
            let (name, file) = (field.name().unwrap_or_default().to_owned(), field.file_name().map(str::to_owned));
            let content_type = field.content_type().map(ToString::to_string);
            let mut data = Pieces::default();
            while let Some(piece) = field.chunk().await.map_err(unreadable)? {
                data.push(piece);
            }
            parts.push(Part { name, file, content_type, data: data.join(), is_field: false });
        }
        let fields = fields(&mut parts)?;
        Ok((Self { boundary, parts }, fields))
    }

    /// What the header says of it.
    pub(super) fn content_type(&self) -> Option<HeaderValue> {
        let is_token = self.boundary.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.+'".contains(&byte));
        let quote = if is_token { "" } else { "\"" };
        HeaderValue::from_str(&format!("multipart/form-data; boundary={quote}{}{quote}", self.boundary)).ok()
    }

    /// The form with these fields instead of its own.
    pub(super) fn to_bytes(&self, fields: &Body) -> Bytes {
        let size: usize = self.parts.iter().map(|part| part.data.len() + part.name.len() + 256).sum();
        let mut out = BytesMut::with_capacity(size + 256);
        for part in &self.parts {
            if !part.is_field {
                self.write(&mut out, part, &part.data);
            } else if let Some(value) = fields.value(&part.name) {
                self.write(&mut out, part, text(value).as_bytes());
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
        if file.is_some() || !is_alone || data.len() > MAX_FIELD_BYTES {
            continue;
        }
        let Ok(text) = std::str::from_utf8(data) else { continue };
        fields.insert(name.clone(), text.into());
        parts[index].is_field = true;
    }
    Ok(Body::parse(Value::from(fields).to_string().into())?)
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

    async fn read(bytes: Bytes) -> Result<(Form, Body), ProxyError> {
        Form::read(Some(&HeaderValue::from_static("multipart/form-data; boundary=b")), bytes).await
    }

    #[tokio::test]
    async fn fields_are_read_and_set_and_files_stay_as_they_are() {
        let audio = "RIFF\r\n--x\r\n\0";
        let bytes = sent(&[
            ("name=\"file\"; filename=\"a\\\"b.wav\"\r\nContent-Type: audio/wav", audio),
            ("name=\"model\"", "ears"),
            ("name=\"granularities[]\"", "word"),
            ("name=\"granularities[]\"", "segment"),
            ("name=\"temperature\"", "0"),
        ]);
        let (form, mut fields) = read(bytes).await.unwrap();
        assert_eq!(fields.keys().collect::<Vec<_>>(), ["model", "temperature"]);
        fields.set("model", &"whisper-1".into());
        fields.set("language", &"de".into());
        fields.remove("temperature");
        let out = String::from_utf8(form.to_bytes(&fields).to_vec()).unwrap();
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
        let (again, _) = read(out.into()).await.unwrap();
        assert_eq!(again.parts[0].data, audio);
    }

    #[tokio::test]
    async fn what_is_no_form_or_two_at_once_is_refused() {
        let twice = sent(&[("name=\"model\"", "a"), ("name=\"model\"; filename=\"x\"", "b")]);
        let mut cut = sent(&[("name=\"model\"", "a")]);
        cut.truncate(cut.len() - 8);
        for (bytes, word) in [(twice, "more than one"), (cut, "unreadable"), (Bytes::from("model=a"), "unreadable")] {
            let error = read(bytes).await.unwrap_err();
            assert!(error.to_string().contains(word), "{error}");
        }
        let many = vec![("name=\"x[]\"", ""); MAX_PARTS + 1];
        assert!(read(sent(&many)).await.unwrap_err().to_string().contains("128"));
        let header = HeaderValue::from_static("multipart/form-data");
        assert!(Form::read(Some(&header), Bytes::new()).await.is_err());
    }
}
