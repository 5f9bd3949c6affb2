//! Which requests are answered: `-R`, `-p` and `-P` of sftp-server(8).

use tracing::debug;

use crate::operation::{Effect, Operation};

/// Whether anything may be changed: `-R`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Access {
    /// Whatever the user may.
    #[default]
    ReadWrite,
    /// Nothing.
    ReadOnly,
}

/// What the administrator lets clients ask for.
#[derive(Debug, Clone, Default)]
pub struct Permitted {
    /// `-R`
    pub access: Access,
    /// `-P`: names that are refused, in the form of the command line: separated by commas.
    pub denied: Option<String>,
    /// `-p`: the only names that are not refused.
    pub allowed: Option<String>,
}

impl Permitted {
    /// Whether requests for `operation` are answered; if not, the reason is logged in sftp-server's words.
    pub(crate) fn permits(&self, operation: Operation) -> bool {
        let name = operation.name();
        if self.access == Access::ReadOnly && operation.effect() == Effect::Writes {
            debug!("Refusing {name} request in read-only mode");
            return false;
        }
        if self
            .denied
            .as_deref()
            .is_some_and(|list| listed(list, name))
        {
            debug!("Refusing denylisted {name} request");
            return false;
        }
        if self
            .allowed
            .as_deref()
            .is_some_and(|list| !listed(list, name))
        {
            debug!("Refusing non-allowlisted {name} request");
            return false;
        }
        true
    }
}

fn listed(list: &str, name: &str) -> bool {
    list.split(',').any(|listed| listed == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(permitted: &Permitted) -> Vec<&'static str> {
        let all = Operation::all().filter(|operation| permitted.permits(*operation));
        all.map(Operation::name).collect()
    }

    #[test]
    fn read_only_leaves_nothing_that_changes_anything() {
        let permitted = Permitted {
            access: Access::ReadOnly,
            ..Permitted::default()
        };
        assert_eq!(
            names(&permitted),
            [
                "open",
                "close",
                "read",
                "lstat",
                "fstat",
                "opendir",
                "readdir",
                "realpath",
                "stat",
                "readlink",
                "statvfs",
                "fstatvfs",
                "limits",
                "expand-path",
                "home-directory",
                "users-groups-by-id"
            ]
        );
    }

    #[test]
    fn what_is_denied_is_so_even_if_it_is_allowed() {
        let permitted = Permitted {
            denied: Some("write,read".into()),
            allowed: Some("open,write,close".into()),
            ..Permitted::default()
        };
        assert_eq!(names(&permitted), ["open", "close"]);
    }

    #[test]
    fn a_list_that_names_nothing_known_allows_nothing() {
        let permitted = Permitted {
            allowed: Some("reed".into()),
            ..Permitted::default()
        };
        assert!(names(&permitted).is_empty());
    }
}
