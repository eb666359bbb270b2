//! The whole trees, compared and then cleared, by an administrator who may do everything.

use zk_proto::{
    DeleteRequest, GetAclRequest, GetChildren2Request, GetDataRequest, OPEN_ACL_UNSAFE, Request,
    SetAclRequest, Ustring,
};

use crate::{
    calls::Call,
    pair::{Outcome, Pair},
    steps::CLIENTS,
};

/// The administrator's number among the clients.
const ADMIN: usize = CLIENTS;

pub(crate) fn compare(pair: &mut Pair) -> Outcome {
    pair.ensure_session(ADMIN)?;
    pair.authenticate(ADMIN, "digest", Some("super:super-secret"))?;
    let paths = pair.paths();
    for path in &paths {
        let path = Ustring::from(path);
        let reads = [
            Request::GetData(GetDataRequest { path: path.clone(), watch: false }),
            Request::GetChildren2(GetChildren2Request { path: path.clone(), watch: false }),
            Request::GetAcl(GetAclRequest { path }),
        ];
        pair.ask(ADMIN, &reads.map(Call::Request))?;
    }
    for path in paths.iter().rev() {
        pair.ask(ADMIN, &[clear(path)])?;
    }
    Ok(())
}

/// What can't be deleted is opened to all.
fn clear(path: &str) -> Call {
    if ["/", "/zookeeper", "/zookeeper/quota", "/zookeeper/config"].contains(&path) {
        return Call::Request(Request::SetAcl(SetAclRequest {
            path: path.into(),
            acl: OPEN_ACL_UNSAFE,
            version: -1,
        }));
    }
    Call::Request(Request::Delete(DeleteRequest { path: path.into(), version: -1 }))
}
