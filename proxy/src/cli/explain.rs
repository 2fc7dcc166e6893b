//! `homing explain`: where would this request go, and why.
//!
//! Owns nothing but the words; the router explains by the same code that routes.

use super::Exit;
use super::client::{Call, Remote};
use super::output;
use http::Method;
use serde_json::{Map, Value, json};
use std::path::PathBuf;

/// Why would a request, or all requests of a key, go where they go.
#[derive(clap::Args)]
pub(super) struct Explain {
    #[command(flatten)]
    remote: Remote,
    /// `METHOD PATH`, or one KEY.
    #[arg(value_name = "METHOD PATH | KEY", num_args = 1..=2, required = true)]
    what: Vec<String>,
    /// File with the request's body.
    #[arg(long, value_name = "FILE")]
    body: Option<PathBuf>,
    /// A header of the request: `name:value`.
    #[arg(short = 'H', value_name = "NAME:VALUE")]
    header: Vec<String>,
}

impl Explain {
    pub(super) fn run(self) -> Exit {
        self.explain().err().unwrap_or(Exit::Ok)
    }

    fn explain(&self) -> Result<(), Exit> {
        let question = match self.what.as_slice() {
            [method, path] => self.request(method, path)?,
            [key] => json!({ "key": key }),
            _ => {
                return Err(output::complain(
                    Exit::Usage,
                    "write METHOD PATH, or one KEY",
                ));
            }
        };
        let reply = self
            .remote
            .call(Call::with(Method::POST, "/v1/explain", &question))?;
        if self.remote.json {
            output::machine("explain", &reply.json);
        } else {
            output::members(&reply.json);
        }
        Ok(())
    }

    fn request(&self, method: &str, path: &str) -> Result<Value, Exit> {
        let mut headers = Map::new();
        for header in &self.header {
            let Some((name, value)) = header.split_once(':') else {
                return Err(output::complain(
                    Exit::Usage,
                    &format!("-H {header}: write NAME:VALUE"),
                ));
            };
            headers.insert(name.trim().to_owned(), Value::from(value.trim()));
        }
        let mut question = json!({ "method": method, "path": path, "headers": headers });
        if let Some(file) = &self.body {
            let body = std::fs::read_to_string(file).map_err(|error| {
                output::complain(
                    Exit::Failed,
                    &format!("{} cannot be read: {error}", file.display()),
                )
            })?;
            question["body"] = Value::from(body);
        }
        Ok(question)
    }
}
