//! A deployment's form, written once more with some of its files.
//!
//! Owns what a new deployment of old files says: name and tenant are those of the old one, all else is left out, as by the
//! engines. Files pass byte by byte.

use super::bundle;
use bytes::Bytes;
use futures_util::FutureExt as _;

/// The new form, its type first. `None`: a file is not there, or the old form cannot be read.
pub(super) fn again(
    content_type: &str,
    body: &[u8],
    names: &[String],
    source: Option<&str>,
) -> Option<(String, Vec<u8>)> {
    let bundle = bundle::read(content_type, body)?;
    let files = files(content_type, body)?;
    // Nothing can hold its own hash.
    let boundary = format!("homing-{}", blake3::hash(body).to_hex());
    let mut form = Vec::new();
    let mut part = |name: &str, file: Option<&str>, bytes: &[u8]| {
        let file = file.map(|file| format!("; filename=\"{}\"", quoted(file)));
        let head = format!(
            "--{boundary}\r\nContent-Disposition: form-data; name=\"{name}\"{}\r\n\r\n",
            file.unwrap_or_default()
        );
        form.extend_from_slice(head.as_bytes());
        form.extend_from_slice(bytes);
        form.extend_from_slice(b"\r\n");
    };
    if !bundle.name.is_empty() {
        part("deployment-name", None, bundle.name.as_bytes());
    }
    if let Some(tenant) = &bundle.tenant {
        part("tenant-id", None, tenant.as_bytes());
    }
    if let Some(source) = source {
        part("deployment-source", None, source.as_bytes());
    }
    for (number, name) in names.iter().enumerate() {
        // Of files with one name the last one counts.
        let (_, bytes) = files.iter().rev().find(|(known, _)| known == name)?;
        part(&format!("file-{number}"), Some(name), bytes);
    }
    form.extend_from_slice(format!("--{boundary}--\r\n").as_bytes());
    Some((format!("multipart/form-data; boundary={boundary}"), form))
}

/// As browsers write it.
fn quoted(name: &str) -> String {
    name.replace('"', "%22")
        .replace('\r', "%0D")
        .replace('\n', "%0A")
}

/// Names and bytes; everything is there already, so reading never waits.
fn files(content_type: &str, body: &[u8]) -> Option<Vec<(String, Bytes)>> {
    let boundary = multer::parse_boundary(content_type).ok()?;
    let body = Bytes::copy_from_slice(body);
    let whole = futures_util::stream::once(async move { Ok::<_, std::io::Error>(body) });
    let mut form = multer::Multipart::new(whole, boundary);
    let mut files = Vec::new();
    while let Some(field) = form.next_field().now_or_never()?.ok()? {
        let name = field.file_name().map(str::to_owned);
        let bytes = field.bytes().now_or_never()?.ok()?;
        files.extend(name.map(|name| (name, bytes)));
    }
    Some(files)
}

#[cfg(test)]
mod tests {
    #![allow(
        clippy::unwrap_used,
        reason = "a form that cannot be read fails the test"
    )]
    use super::*;

    const FORM: &str = "--b\r\nContent-Disposition: form-data; name=\"deployment-name\"\r\n\r\norders\r\n\
        --b\r\nContent-Disposition: form-data; name=\"tenant-id\"\r\n\r\nt\r\n\
        --b\r\nContent-Disposition: form-data; name=\"enable-duplicate-filtering\"\r\n\r\ntrue\r\n\
        --b\r\nContent-Disposition: form-data; name=\"a\"; filename=\"x.txt\"\r\n\r\none\r\n\
        --b\r\nContent-Disposition: form-data; name=\"b\"; filename=\"y.txt\"\r\n\r\n\r\n--\r\n\r\n--b--\r\n";

    #[test]
    fn chosen_files_pass_byte_by_byte() {
        let of = "multipart/form-data; boundary=b";
        let names = |names: &[&str]| {
            names
                .iter()
                .map(|name| (*name).to_owned())
                .collect::<Vec<_>>()
        };
        let (kind, form) = again(of, FORM.as_bytes(), &names(&["y.txt"]), Some("me")).unwrap();
        let bundle = bundle::read(&kind, &form).unwrap();
        assert_eq!(
            (&*bundle.name, bundle.tenant.as_deref()),
            ("orders", Some("t"))
        );
        assert_eq!(
            files(&kind, &form).unwrap(),
            [("y.txt".to_owned(), Bytes::from("\r\n--\r\n"))]
        );
        let text = String::from_utf8(form).unwrap();
        assert!(
            text.contains("deployment-source") && !text.contains("duplicate"),
            "{text}"
        );
        let (kind, both) = again(of, FORM.as_bytes(), &names(&["x.txt", "y.txt"]), None).unwrap();
        assert_eq!(files(&kind, &both).unwrap().len(), 2);
        assert_eq!(again(of, FORM.as_bytes(), &names(&["z.txt"]), None), None);
    }
}
