//! The login process of a session.

use super::pb;
use crate::lane::{LaneError, LoginProcess, Permission};

pub(super) fn to_proto(process: &LoginProcess) -> pb::LoginProcess {
    let variable = |(name, value): &(String, String)| pb::Variable {
        name: name.clone(),
        value: value.clone(),
    };
    pb::LoginProcess {
        use_pam: process.use_pam,
        print_motd: process.print_motd,
        print_last_log: process.print_last_log,
        user_rc: process.user_rc == Permission::Granted,
        xauth_location: process.xauth_location.clone(),
        set_env: process.set_env.iter().map(variable).collect(),
    }
}

pub(super) fn from_proto(process: Option<pb::LoginProcess>) -> Result<LoginProcess, LaneError> {
    let process = process.ok_or(LaneError::Malformed("no login process"))?;
    Ok(LoginProcess {
        use_pam: process.use_pam,
        print_motd: process.print_motd,
        print_last_log: process.print_last_log,
        user_rc: match process.user_rc {
            true => Permission::Granted,
            false => Permission::Denied,
        },
        xauth_location: process.xauth_location,
        set_env: process
            .set_env
            .into_iter()
            .map(|variable| (variable.name, variable.value))
            .collect(),
    })
}
