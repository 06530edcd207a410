//! The resources and their paths (Luna reference sections 4 to 9).

use percent_encoding::percent_decode_str;

use crate::vendor::Route;

/// A resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Endpoint {
    Session,
    Jwt,
    Challenge,
    LoginBasic,
    Users,
    User,
    UserAction,
    Certificates,
    Certificate,
    Roles,
    RoleResources,
    Tasks,
    Task,
    TaskResponse,
    TaskActions,
    TaskAction,
    Appliance,
    WebServer,
    Hsms,
    Hsm,
    Firmware,
    Storage,
    HsmRoles,
    HsmRole,
    HsmLogin,
    HsmLogout,
    HsmAction,
    Partitions,
    Partition,
    PartitionRoles,
    PartitionRole,
    RolePassword,
    Login,
    Logout,
    /// The list and one object, at the older place and at the newer one.
    OldObjects,
    OldObject,
    NewObjects,
    NewObject,
}

/// `{…}` stands for one segment.
const ROWS: &[(&str, Endpoint)] = &[
    ("/auth/session", Endpoint::Session),
    ("/auth/jwt", Endpoint::Jwt),
    ("/auth/login/challenge", Endpoint::Challenge),
    ("/auth/login/basic", Endpoint::LoginBasic),
    ("/users", Endpoint::Users),
    ("/users/{userid}", Endpoint::User),
    ("/users/{userid}/actions/{action}", Endpoint::UserAction),
    ("/users/{userid}/certificates", Endpoint::Certificates),
    ("/users/{userid}/certificate", Endpoint::Certificate),
    ("/roles", Endpoint::Roles),
    ("/roles/{roleid}/resources", Endpoint::RoleResources),
    ("/tasks", Endpoint::Tasks),
    ("/tasks/{taskid}", Endpoint::Task),
    ("/tasks/{taskid}/response", Endpoint::TaskResponse),
    ("/tasks/{taskid}/actions", Endpoint::TaskActions),
    ("/tasks/{taskid}/actions/{action}", Endpoint::TaskAction),
    ("/api/lunasa", Endpoint::Appliance),
    ("/api/lunasa/services/webserver", Endpoint::WebServer),
    ("/api/lunasa/hsms", Endpoint::Hsms),
    ("/api/lunasa/hsms/{hsmid}", Endpoint::Hsm),
    ("/api/lunasa/hsms/{hsmid}/firmware", Endpoint::Firmware),
    ("/api/lunasa/hsms/{hsmid}/storageSpace", Endpoint::Storage),
    ("/api/lunasa/hsms/{hsmid}/roles", Endpoint::HsmRoles),
    ("/api/lunasa/hsms/{hsmid}/roles/{roleid}", Endpoint::HsmRole),
    ("/api/lunasa/hsms/{hsmid}/login", Endpoint::HsmLogin),
    ("/api/lunasa/hsms/{hsmid}/logout", Endpoint::HsmLogout),
    ("/api/lunasa/hsms/{hsmid}/actions/{action}", Endpoint::HsmAction),
    ("/api/lunasa/hsms/{hsmid}/partitions", Endpoint::Partitions),
    ("/api/lunasa/hsms/{hsmid}/partitions/{partitionid}", Endpoint::Partition),
    ("/api/lunasa/hsms/{hsmid}/partitions/{partitionid}/roles", Endpoint::PartitionRoles),
    ("/api/lunasa/hsms/{hsmid}/partitions/{partitionid}/roles/{roleid}", Endpoint::PartitionRole),
    ("/api/lunasa/hsms/{hsmid}/partitions/{partitionid}/roles/{roleid}/password", Endpoint::RolePassword),
    ("/api/lunasa/hsms/{hsmid}/partitions/{partitionid}/login", Endpoint::Login),
    ("/api/lunasa/hsms/{hsmid}/partitions/{partitionid}/logout", Endpoint::Logout),
    ("/api/lunasa/hsms/{hsmid}/partitions/{partitionid}/objects", Endpoint::OldObjects),
    ("/api/lunasa/hsms/{hsmid}/partitions/{partitionid}/objects/{objectid}", Endpoint::OldObject),
    ("/api/lunasa/hsms/{hsmid}/partitions/{partitionid}/object/objects", Endpoint::NewObjects),
    ("/api/lunasa/hsms/{hsmid}/partitions/{partitionid}/object/objects/{objectid}", Endpoint::NewObject),
];

/// The resource of a path, with what its placeholders stand for, decoded.
pub(super) fn find(path: &str) -> Option<(Endpoint, Vec<String>)> {
    ROWS.iter().find_map(|(pattern, endpoint)| Some((*endpoint, matched(pattern, path)?)))
}

/// What the placeholders of a pattern stand for; `None` if the path does not fit.
pub(super) fn matched(pattern: &str, path: &str) -> Option<Vec<String>> {
    let mut found = Vec::new();
    let mut actual = path.split('/');
    for expected in pattern.split('/') {
        let segment = actual.next()?;
        if expected.starts_with('{') && !segment.is_empty() {
            found.push(percent_decode_str(segment).decode_utf8_lossy().into_owned());
        } else if expected != segment {
            return None;
        }
    }
    actual.next().is_none().then_some(found)
}

/// What the server is told of a request.
pub(super) fn route(path: &str) -> Route {
    let known = ROWS.iter().find(|(pattern, _)| matched(pattern, path).is_some());
    // What is answered depends on cookies and on the time: nothing is to be kept.
    Route { pattern: known.map_or("(unknown path)", |(pattern, _)| pattern), writes: true, slow: false }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_lead_to_their_resources() {
        let found = |path| find(path).map(|(endpoint, found)| (endpoint, found.join(" ")));
        assert_eq!(found("/api/lunasa"), Some((Endpoint::Appliance, String::new())));
        assert_eq!(
            found("/api/lunasa/hsms/1/partitions/2/object/objects/a%20b"),
            Some((Endpoint::NewObject, "1 2 a b".to_owned()))
        );
        for path in ["/API/lunasa", "/api/lunasa/", "/api/lunasa/hsms/", "/users/a/actions", "/"] {
            assert_eq!(found(path), None, "{path}");
        }
    }
}
