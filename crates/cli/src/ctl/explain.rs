//! `explain`: which value of each keyword holds for a connection, and which line set it.

use accounts::LookupError;
use config::sshd::{self, Account, Errors, Explained, Offers};
use thiserror::Error;

use super::command_line::{Legend, Question};
use super::{Said, show};
use crate::groups;

/// Why nothing can be explained.
#[derive(Debug, Error)]
pub enum ExplainError {
    /// The configuration cannot be read: all of it, with file, line and column.
    #[error(transparent)]
    Configuration(#[from] Errors),
    /// It is not known whether there is such a user.
    #[error("user {user}: {error}")]
    User {
        /// The name.
        user: String,
        /// What failed.
        error: LookupError,
    },
}

/// Answers from the files; the server need not run, and may run with others.
///
/// # Errors
/// See [`ExplainError`].
pub fn explain(question: Question) -> Result<Said, ExplainError> {
    let Question {
        file,
        options,
        mut connection,
    } = question;
    let options: Vec<&str> = options.iter().map(String::as_str).collect();
    let offers = Offers::on_this_machine();
    let configuration = sshd::read(&file, &options, &offers.offered())?;

    let mut said = Said::default();
    for error in configuration.refused() {
        said.remark(&error.to_string());
    }
    if let Some(user) = &connection.user {
        let known = accounts::lookup(user).map_err(|error| ExplainError::User {
            user: user.clone(),
            error,
        })?;
        match known {
            Some(_) => connection.groups = groups::of(user),
            None => {
                said.remark(&format!(
                    "there is no user {user}: Match Invalid-User holds"
                ));
                connection.account = Account::Invalid;
            }
        }
    }
    // As for the server, which looks no names up.
    if connection.host.is_none() {
        connection.host = connection.address.map(|address| address.to_string());
    }
    said.output = text(&configuration.effective(&connection).explain());
    Ok(said)
}

/// One line for each value, beside the line that set it. Long values come last.
fn text(explained: &[Explained]) -> String {
    let rows: Vec<_> = explained.iter().flat_map(rows).collect();
    show::table(["KEYWORD", "SET BY", "VALUE"], &rows, Legend::Shown)
}

fn rows(explained: &Explained) -> Vec<[String; 3]> {
    let Explained {
        keyword,
        values,
        set_by,
    } = explained;
    let defaulted = [String::from("default")];
    let origins = match set_by.is_empty() {
        true => &defaulted[..],
        false => set_by,
    };
    // A keyword that has no value and was not set is of no interest.
    let count = match (values.len(), set_by.len()) {
        (0, 0) => 0,
        (values, origins) => values.max(origins),
    };
    let cell = |cells: &[String], row: usize| cells.get(row).cloned().unwrap_or_default();
    (0..count)
        .map(|row| {
            let name = if row == 0 { *keyword } else { "" };
            [name.to_owned(), cell(origins, row), cell(values, row)]
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use config::sshd::Criteria;

    use super::*;

    const FILE: &str = "MaxAuthTries 5
AcceptEnv LANG
AcceptEnv LC_*
Match Group root
    MaxAuthTries 2
Match Address 192.0.2.0/24
    MaxSessions 1
Match Invalid-User
    MaxAuthTries 1
";

    /// The lines about a keyword, without the name of the file, and the remarks.
    fn explained(who: &str, address: &str, keyword: &str) -> (Vec<String>, String) {
        let file = std::env::temp_dir().join(format!(
            "cli-explain-{}-{who}-{keyword}",
            std::process::id()
        ));
        std::fs::write(&file, FILE).unwrap();
        let said = explain(Question {
            file: file.clone(),
            options: vec!["LogLevel DEBUG".to_owned()],
            connection: Criteria {
                user: Some(who.to_owned()),
                address: address.parse().ok(),
                ..Criteria::default()
            },
        })
        .unwrap();
        std::fs::remove_file(&file).unwrap();
        let words = |line: &str| line.split_whitespace().collect::<Vec<_>>().join(" ");
        let output = said.output.replace(&file.display().to_string(), "FILE");
        let lines = output.lines().map(words);
        let from = lines.skip_while(|line| line.split(' ').next() != Some(keyword));
        let rest = |line: &String| line.starts_with(keyword) || line.starts_with("FILE:");
        (from.take_while(rest).collect(), said.remarks)
    }

    #[test]
    fn values_stand_beside_the_lines_that_set_them() {
        let root = |keyword| explained("root", "192.0.2.1", keyword).0;
        assert_eq!(root("MaxAuthTries"), ["MaxAuthTries FILE:5 2"]);
        assert_eq!(root("MaxSessions"), ["MaxSessions FILE:7 1"]);
        assert_eq!(root("AcceptEnv"), ["AcceptEnv FILE:2 LANG", "FILE:3 LC_*"]);
        assert_eq!(root("LoginGraceTime"), ["LoginGraceTime default 120"]);
        assert_eq!(root("LogLevel"), ["LogLevel command-line:1 DEBUG"]);
        let elsewhere = explained("root", "198.51.100.1", "MaxSessions").0;
        assert_eq!(elsewhere, ["MaxSessions default 10"]);
    }

    #[test]
    fn a_user_who_does_not_exist_is_an_invalid_one() {
        let (lines, remarks) = explained("no-such-user", "192.0.2.1", "MaxAuthTries");
        assert_eq!(lines, ["MaxAuthTries FILE:9 1"]);
        assert!(
            remarks.contains("there is no user no-such-user"),
            "{remarks}"
        );
    }

    #[test]
    fn a_file_that_cannot_be_read_is_an_error() {
        let question = Question {
            file: "/nonexistent/file".into(),
            options: Vec::new(),
            connection: Criteria::default(),
        };
        let Err(error) = explain(question) else {
            panic!("no error");
        };
        assert!(error.to_string().contains("/nonexistent/file"), "{error}");
    }
}
