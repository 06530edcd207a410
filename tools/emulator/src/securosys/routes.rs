//! The endpoints and their paths.

use hyper::Method;
use percent_encoding::percent_decode_str;

/// What a request asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Endpoint {
    ListKeys,
    CreateKey,
    Attributes,
    /// The deprecated form, with the label in the path.
    AttributesByPath,
    DeleteKey,
    DeleteKeyByPath,
    GetCertificate,
    ImportCertificate,
    DeleteCertificate,
    Sign,
    Verify,
    Encrypt,
    Decrypt,
    Hmac,
    Random,
    Version,
    Licence,
    Statistics,
    AsynchronousSign,
    AsynchronousDecrypt,
    GetRequest,
    CancelRequest,
    /// Of the API, but the emulator has not learnt it.
    Unlearnt,
    /// Of the API under the licence `TSB_ENGINE`, and the emulator has not learnt it.
    UnlearntLicensed,
}

impl Endpoint {
    /// Whether the request may change what others are answered.
    pub(super) fn writes(self) -> bool {
        use Endpoint::*;
        matches!(
            self,
            CreateKey
                | DeleteKey
                | DeleteKeyByPath
                | ImportCertificate
                | DeleteCertificate
                | AsynchronousSign
                | AsynchronousDecrypt
                | CancelRequest
        )
    }

    /// Whether the answer costs more than a look-up.
    pub(super) fn slow(self) -> bool {
        use Endpoint::*;
        self.writes() || matches!(self, Attributes | AttributesByPath | Sign | Verify | Encrypt | Decrypt)
    }
}

/// One method on one path.
struct Row {
    method: Method,
    /// `{…}` stands for one segment, a final `**` for one or more.
    pattern: &'static str,
    endpoint: Endpoint,
}

macro_rules! rows {
    ($($method:ident $pattern:literal $endpoint:ident;)*) => {
        &[$(Row { method: Method::$method, pattern: $pattern, endpoint: Endpoint::$endpoint }),*]
    };
}

/// Securosys TSB reference §2 to §5; a literal path precedes a pattern that also fits it.
const ROWS: &[Row] = rows! {
    GET    "/v1/key"                                     ListKeys;
    POST   "/v1/key"                                     CreateKey;
    POST   "/v1/key/attributes"                          Attributes;
    POST   "/v1/key/deleteKey"                           DeleteKey;
    POST   "/v1/key/import/plain"                        Unlearnt;
    POST   "/v1/key/export/plain"                        Unlearnt;
    POST   "/v1/key/address"                             Unlearnt;
    POST   "/v1/key/changePassword"                      Unlearnt;
    POST   "/v1/key/keyAttestation"                      Unlearnt;
    GET    "/v1/key/{label}/attributes"                  AttributesByPath;
    DELETE "/v1/key/{label}"                             DeleteKeyByPath;
    POST   "/v1/importedKey"                             Unlearnt;
    POST   "/v1/derivedKey"                              Unlearnt;
    POST   "/v1/dataObject"                              Unlearnt;
    GET    "/v1/dataObject/{name}"                       Unlearnt;
    DELETE "/v1/dataObject/{name}"                       Unlearnt;
    POST   "/v1/certificate/import/plain"                ImportCertificate;
    POST   "/v1/certificate/synchronous/request"         Unlearnt;
    POST   "/v1/certificate/synchronous/request/download" Unlearnt;
    POST   "/v1/certificate/synchronous/selfsign"        Unlearnt;
    POST   "/v1/certificate/synchronous/sign"            Unlearnt;
    POST   "/v1/certificate/request"                     UnlearntLicensed;
    POST   "/v1/certificate/selfsign"                    UnlearntLicensed;
    POST   "/v1/certificate/sign"                        UnlearntLicensed;
    GET    "/v1/certificate/{label}"                     GetCertificate;
    DELETE "/v1/certificate/{label}"                     DeleteCertificate;
    POST   "/v1/synchronousSign"                         Sign;
    POST   "/v1/verify"                                  Verify;
    POST   "/v1/encrypt"                                 Encrypt;
    POST   "/v1/synchronousDecrypt"                      Decrypt;
    POST   "/v1/synchronousHmac"                         Hmac;
    GET    "/v1/generateRandom/{length}"                 Random;
    POST   "/v1/wrap"                                    Unlearnt;
    POST   "/v1/synchronousUnwrap"                       Unlearnt;
    POST   "/v1/createRfcTimestamp"                      Unlearnt;
    POST   "/v1/fileEncrypt"                             Unlearnt;
    POST   "/v1/synchronousFileDecrypt"                  Unlearnt;
    POST   "/v1/sign"                                    AsynchronousSign;
    POST   "/v1/decrypt"                                 AsynchronousDecrypt;
    POST   "/v1/unwrap"                                  UnlearntLicensed;
    POST   "/v1/block"                                   UnlearntLicensed;
    POST   "/v1/unblock"                                 UnlearntLicensed;
    POST   "/v1/modify"                                  UnlearntLicensed;
    POST   "/v1/synchronousBlock"                        UnlearntLicensed;
    POST   "/v1/synchronousUnblock"                      UnlearntLicensed;
    POST   "/v1/synchronousModify"                       UnlearntLicensed;
    GET    "/v1/request/{id}"                            GetRequest;
    DELETE "/v1/request/{id}"                            CancelRequest;
    POST   "/v1/filteredRequests"                        UnlearntLicensed;
    POST   "/v1/filteredSignApprovalTask"                UnlearntLicensed;
    POST   "/v1/filteredModifyKeyApprovalTask"           UnlearntLicensed;
    POST   "/v1/filteredAllApprovalTask"                 UnlearntLicensed;
    POST   "/v1/approval"                                UnlearntLicensed;
    DELETE "/v1/task"                                    UnlearntLicensed;
    PATCH  "/v1/task"                                    UnlearntLicensed;
    POST   "/v1/approver/onboard"                        UnlearntLicensed;
    GET    "/v1/approverManagement/**"                   UnlearntLicensed;
    POST   "/v1/approverManagement/**"                   UnlearntLicensed;
    DELETE "/v1/approverManagement/**"                   UnlearntLicensed;
    GET    "/v1/versionInfo"                             Version;
    GET    "/v1/licenseInfo"                             Licence;
    GET    "/v1/keystore/statistics"                     Statistics;
    GET    "/v1/hsm/log"                                 Unlearnt;
};

/// The pattern of paths that are not of the API.
pub(super) const UNKNOWN_PATH: &str = "(unknown path)";

/// Where a request leads.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Target {
    Found {
        endpoint: Endpoint,
        pattern: &'static str,
        /// What the placeholder of the path stands for, decoded.
        parameter: String,
    },
    /// The path is known, with these methods.
    WrongMethod {
        pattern: &'static str,
        allow: String,
    },
    Unknown,
}

/// The endpoint of a request.
pub(super) fn target(method: &Method, path: &str) -> Target {
    let mut others: Vec<&Row> = Vec::new();
    for row in ROWS {
        let Some(parameter) = matched(row.pattern, path) else {
            continue;
        };
        if row.method == *method {
            // A label that is no UTF-8 is no label: it finds nothing.
            let parameter = percent_decode_str(parameter).decode_utf8_lossy().into_owned();
            return Target::Found { endpoint: row.endpoint, pattern: row.pattern, parameter };
        }
        others.push(row);
    }
    match others.first() {
        None => Target::Unknown,
        Some(row) => {
            let methods: Vec<&str> = others.iter().map(|row| row.method.as_str()).collect();
            Target::WrongMethod { pattern: row.pattern, allow: methods.join(", ") }
        }
    }
}

/// What the placeholder stands for, empty if there is none; `None` if the path does not fit.
fn matched<'p>(pattern: &str, path: &'p str) -> Option<&'p str> {
    let mut parameter = "";
    let mut actual = path.split('/');
    for expected in pattern.split('/') {
        let segment = actual.next()?;
        if expected == "**" {
            return (!segment.is_empty()).then_some("");
        }
        if expected.starts_with('{') && !segment.is_empty() {
            parameter = segment;
        } else if expected != segment {
            return None;
        }
    }
    actual.next().is_none().then_some(parameter)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::securosys::roles::role_of;
    use crate::securosys::switches::Switches;

    #[test]
    fn labels_are_decoded_after_the_path_is_split() {
        let Target::Found { endpoint, parameter, .. } =
            target(&Method::GET, "/v1/key/a%2Fb%20%C3%A9/attributes")
        else {
            panic!("not found")
        };
        assert_eq!(endpoint, Endpoint::AttributesByPath);
        assert_eq!(parameter, "a/b é");
    }

    #[test]
    fn wrong_methods_and_unknown_paths_differ() {
        let wrong = Target::WrongMethod { pattern: "/v1/key", allow: "GET, POST".to_owned() };
        assert_eq!(target(&Method::PUT, "/v1/key"), wrong);
        for path in ["/v1/key/", "/v1/keys", "/v1/certificate//", "/v1", "/v1/approverManagement/"] {
            assert_eq!(target(&Method::GET, path), Target::Unknown, "{path}");
        }
    }

    #[test]
    fn every_endpoint_has_a_role() {
        let switches = Switches::default();
        for row in ROWS {
            let path = row.pattern.replace("**", "x");
            assert!(role_of(&path, &switches).is_some(), "{path}");
        }
    }
}
