//! Parts: 1.0 tells them apart by member name and keeps files flat, 0.3 nests files, and its two bindings write them
//! differently: by `kind` in JSON-RPC, as protobuf's JSON in HTTP+JSON.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::value::RawValue;

use super::Dialect;
use super::shape::{Way, read_text, to_raw};
use crate::fields::excerpt;
use crate::{Fields, Invalid};

/// Where the official 1.0 SDK says that a data part was no object: 0.3 knows only objects.
const WRAPPED: &str = "data_part_compat";

pub(super) fn translate(raw: &RawValue, way: Way) -> Result<Box<RawValue>, Invalid> {
    let part = Fields::read(raw)?;
    let translated = match way {
        Way::ToV1 => to_v1(part),
        Way::ToV03(dialect) => to_v03(part, dialect),
    };
    translated?.into_raw()
}

fn to_v1(mut part: Fields) -> Result<Fields, Invalid> {
    let kind = part
        .take("kind")
        .map(|kind| read_text(&kind).map_err(|invalid| invalid.within("kind")))
        .transpose()?;
    match kind.as_deref() {
        Some("text") => {}
        Some("file") => file_to_v1(&mut part, true)?,
        Some("data") => unwrap_value(&mut part)?,
        None if part.get("file").is_some() => file_to_v1(&mut part, false)?,
        None if part.get("data").is_some() => {
            data_from_proto(&mut part)?;
            unwrap_value(&mut part)?;
        }
        None if part.get("text").is_some() => {}
        Some(other) => {
            let problem = format!("expected text, file or data, found \"{}\"", excerpt(other));
            return Err(Invalid::new(problem).within("kind"));
        }
        None => return Err(Invalid::new("expected \"kind\": text, file or data")),
    }
    Ok(part)
}

/// Lifts a file's members into the part. What nobody knows of the file stays in `file`.
fn file_to_v1(part: &mut Fields, kinded: bool) -> Result<(), Invalid> {
    let raw = part.take("file").ok_or_else(|| Invalid::new("required, but missing").within("file"))?;
    let mut file = Fields::read(&raw).map_err(|invalid| invalid.within("file"))?;
    if let Some(bytes) = file.take("bytes").filter(|bytes| bytes.get() != "null") {
        part.put("raw", bytes);
    } else if let Some(bytes) = file.take("fileWithBytes") {
        part.put("raw", if kinded { bytes } else { bytes_from_proto(bytes)? });
    } else if let Some(uri) = file.take("uri").or_else(|| file.take("fileWithUri")) {
        part.put("url", uri);
    } else {
        return Err(Invalid::new("expected bytes or uri").within("file"));
    }
    for (v03, v1) in [("mimeType", "mediaType"), ("name", "filename")] {
        if let Some(value) = file.take(v03).filter(|value| value.get() != "null") {
            part.put(v1, value);
        }
    }
    if !file.is_empty() {
        part.put("file", file.into_raw()?);
    }
    Ok(())
}

/// The official SDK puts the base64 text itself into the protobuf's bytes, whose JSON is base64 once more. Others
/// encode once; what does not decode to base64 is taken for theirs.
fn bytes_from_proto(raw: Box<RawValue>) -> Result<Box<RawValue>, Invalid> {
    let outer = STANDARD.decode(read_text(&raw)?).ok();
    let inner =
        outer.and_then(|bytes| String::from_utf8(bytes).ok()).filter(|text| STANDARD.decode(text).is_ok());
    inner.map_or(Ok(raw), |text| to_raw(&text))
}

/// Protobuf's JSON has one more level: `{"data": {"data": {…}}}`.
fn data_from_proto(part: &mut Fields) -> Result<(), Invalid> {
    let Some(raw) = part.take("data") else { return Ok(()) };
    let mut outer = Fields::read(&raw).map_err(|invalid| invalid.within("data"))?;
    part.put("data", outer.take("data").map_or_else(|| to_raw(&Fields::default()), Ok)?);
    Ok(())
}

fn unwrap_value(part: &mut Fields) -> Result<(), Invalid> {
    let Some(mut metadata) = part.get("metadata").and_then(|raw| Fields::read(raw).ok()) else {
        return Ok(());
    };
    let Some(mut data) = part.get("data").and_then(|raw| Fields::read(raw).ok()) else { return Ok(()) };
    let Some(value) = data.take("value").filter(|_| metadata.get(WRAPPED).is_some()) else { return Ok(()) };
    metadata.take(WRAPPED);
    part.put("data", value);
    if metadata.is_empty() {
        part.take("metadata");
    } else {
        part.put("metadata", metadata.into_raw()?);
    }
    Ok(())
}

fn to_v03(mut part: Fields, dialect: Dialect) -> Result<Fields, Invalid> {
    let is_set = |part: &Fields, name: &str| part.get(name).is_some_and(|value| value.get() != "null");
    let kind = if is_set(&part, "raw") || is_set(&part, "url") {
        file_to_v03(&mut part, dialect)?;
        "file"
    } else if part.get("data").is_some() {
        data_to_v03(&mut part, dialect)?;
        "data"
    } else {
        "text"
    };
    if dialect == Dialect::HttpJson {
        // Its readers refuse a whole message for a member they do not know, and only files have these.
        part.take("mediaType");
        part.take("filename");
    } else {
        part.put("kind", to_raw(kind)?);
    }
    Ok(part)
}

fn file_to_v03(part: &mut Fields, dialect: Dialect) -> Result<(), Invalid> {
    let mut file = part.take("file").and_then(|raw| Fields::read(&raw).ok()).unwrap_or_default();
    match (part.take("raw").filter(|raw| raw.get() != "null"), part.take("url"), dialect) {
        (Some(raw), _, Dialect::JsonRpc) => file.put("bytes", raw),
        (Some(raw), _, Dialect::HttpJson) => {
            let text = read_text(&raw).map_err(|invalid| invalid.within("raw"))?;
            file.put("fileWithBytes", to_raw(&STANDARD.encode(text))?);
        }
        (None, Some(url), Dialect::JsonRpc) => file.put("uri", url),
        (None, Some(url), Dialect::HttpJson) => file.put("fileWithUri", url),
        (None, None, _) => {}
    }
    for (v1, v03) in [("mediaType", "mimeType"), ("filename", "name")] {
        if let Some(value) = part.take(v1) {
            file.put(v03, value);
        }
    }
    part.put("file", file.into_raw()?);
    Ok(())
}

fn data_to_v03(part: &mut Fields, dialect: Dialect) -> Result<(), Invalid> {
    let Some(mut data) = part.take("data") else { return Ok(()) };
    if !data.get().starts_with('{') {
        let mut wrapper = Fields::default();
        wrapper.put("value", data);
        data = wrapper.into_raw()?;
        let mut metadata = part.get("metadata").and_then(|raw| Fields::read(raw).ok()).unwrap_or_default();
        metadata.put(WRAPPED, to_raw(&true)?);
        part.put("metadata", metadata.into_raw()?);
    }
    if dialect == Dialect::HttpJson {
        let mut outer = Fields::default();
        outer.put("data", data);
        data = outer.into_raw()?;
    }
    part.put("data", data);
    Ok(())
}
