//! The `tls` part of a configuration file.
//!
//! Owns the keys and their manual: the comments of the fields are the reference page. Must not hold logic.

use crate::text::At;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A certificate and its key.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct PairFile {
    /// PEM file with the certificate and its chain.
    pub(crate) certificate: At<String>,
    /// PEM file with the private key of the certificate.
    pub(crate) key: At<String>,
}

/// TLS on a listener. The files are read again when they change and at each reload.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ServerTlsFile {
    /// PEM file with the certificate and its chain.
    pub(crate) certificate: At<String>,
    /// PEM file with the private key of the certificate.
    pub(crate) key: At<String>,
    /// Further certificates, chosen by the host name that the client asks for (SNI). A client that asks for none of
    /// them, or for no name, gets the one above.
    #[serde(default)]
    pub(crate) more: Vec<PairFile>,
    /// PEM file with the authorities of client certificates. When given, a client without a valid certificate is
    /// refused. Default: clients need none.
    pub(crate) client_ca: Option<At<String>>,
}

/// TLS towards the endpoints of a site. Needs `https://` endpoints.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct ClientTlsFile {
    /// Name that the endpoint's certificate must bear, sent as SNI. Required when an endpoint is named by an IP
    /// address. Default: the endpoint's host name.
    pub(crate) server_name: Option<At<String>>,
    /// PEM file with the authorities to trust. Default: those of the operating system.
    pub(crate) ca: Option<At<String>>,
    /// PEM file with the certificate that the router shows. Needs `key`.
    pub(crate) certificate: Option<At<String>>,
    /// PEM file with the private key of that certificate. Needs `certificate`.
    pub(crate) key: Option<At<String>>,
}
