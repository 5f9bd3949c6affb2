//! What sessions find: variables, subsystems.

use crate::pattern::Pattern;
use crate::sshd::lexer;
use crate::sshd::setting::{Effect, Kind, joined};

/// AcceptEnv: each line adds to the list.
pub(crate) const NAMES: Kind<Vec<Pattern>> = Kind::new(
    |arguments| {
        let words = arguments.words("names of environment variables")?;
        let read = |word: &lexer::Word| match word.text.contains('=') {
            true => Err(arguments.bad(word, "the name of an environment variable")),
            false => Ok(Pattern::new(&*word.text)),
        };
        words.into_iter().map(read).collect()
    },
    |names: &Vec<Pattern>| {
        names
            .iter()
            .map(|name| lexer::quoted(&name.to_string()))
            .collect()
    },
)
.collecting();

/// SetEnv. Unlike OpenSSH's, the line that is shown has all variables: of more lines only the first would count.
pub(crate) const VARIABLES: Kind<Vec<Variable>> = Kind::new(
    |arguments| {
        const EXPECTED: &str = "NAME=value";
        let mut variables: Vec<Variable> = Vec::new();
        for word in arguments.words(EXPECTED)? {
            let split = word.text.split_once('=');
            let (name, value) = split.ok_or_else(|| arguments.bad(word, EXPECTED))?;
            if !variables.iter().any(|known| known.name == name) {
                variables.push(Variable {
                    name: name.to_owned(),
                    value: value.to_owned(),
                });
            }
        }
        Ok(variables)
    },
    |variables| {
        let word =
            |variable: &Variable| lexer::quoted(&format!("{}={}", variable.name, variable.value));
        joined(variables.iter().map(word)).into_iter().collect()
    },
);

/// PermitUserEnvironment.
pub(crate) const USER_ENVIRONMENT: Kind<PermitUserEnvironment> = Kind::new(
    |arguments| {
        let word = arguments.word("yes, no, or a pattern of names")?;
        Ok(match word.text.as_str() {
            "yes" => PermitUserEnvironment::Yes,
            "no" => PermitUserEnvironment::No,
            list => PermitUserEnvironment::Only(list.to_owned()),
        })
    },
    |permit| {
        vec![match permit {
            PermitUserEnvironment::Yes => "yes".to_owned(),
            PermitUserEnvironment::No => "no".to_owned(),
            PermitUserEnvironment::Only(list) => lexer::quoted(list),
        }]
    },
);

/// LogVerbose; left out if empty.
pub(crate) const LOG_VERBOSE: Kind<Vec<String>> = Kind::new(
    |arguments| {
        let words = arguments.words_or("none", "patterns file:function:line")?;
        Ok(words.iter().map(|word| word.text.clone()).collect())
    },
    |patterns| {
        let words = patterns.iter().map(|word| lexer::quoted(word));
        joined(words).into_iter().collect()
    },
);

/// Subsystem: each line adds one; of two with one name the first counts, and one in a Match block before one outside.
pub(crate) const SUBSYSTEMS: Kind<Vec<Subsystem>> = Kind {
    again: |place, more| {
        let before = place.len();
        for subsystem in more {
            if !place.iter().any(|known| known.name == subsystem.name) {
                place.push(subsystem);
            }
        }
        if place.len() > before {
            Effect::Counts
        } else {
            Effect::Dropped
        }
    },
    merge: Some(|place, matched| {
        for subsystem in matched {
            match place.iter_mut().find(|known| known.name == subsystem.name) {
                Some(known) => *known = subsystem,
                None => place.push(subsystem),
            }
        }
    }),
    ..Kind::new(
        |arguments| {
            const EXPECTED: &str = "a name and a command";
            let name = arguments.word(EXPECTED)?.text.clone();
            let mut command = vec![lexer::assembled(&arguments.word(EXPECTED)?.text)];
            while let Some(word) = arguments.optional() {
                command.push(lexer::assembled(&word.text));
            }
            let command = command.join(" ");
            Ok(vec![Subsystem { name, command }])
        },
        |subsystems| {
            let line =
                |known: &Subsystem| format!("{} {}", lexer::quoted(&known.name), known.command);
            subsystems.iter().map(line).collect()
        },
    )
};

/// A variable and its value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Variable {
    /// The name.
    pub name: String,
    /// The value.
    pub value: String,
}

/// PermitUserEnvironment: whether users can set variables by `~/.ssh/environment` and `environment=`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PermitUserEnvironment {
    /// All.
    Yes,
    /// None.
    No,
    /// Those that a list of patterns names, as in ssh_config(5).
    Only(String),
}

/// Subsystem: a name that a client can ask for, and what is run then.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subsystem {
    /// As in the client's request, RFC 4254 section 6.5.
    pub name: String,
    /// Command line for the user's shell, its words quoted as far as they need it; or `internal-sftp` with its arguments.
    pub command: String,
}
