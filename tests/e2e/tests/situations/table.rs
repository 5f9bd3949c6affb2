//! The table as values.

use anyhow::{Context, Result, bail, ensure};

/// A configuration and what is tried with it.
#[derive(Debug, Default)]
pub(crate) struct Configuration {
    pub(crate) title: String,
    /// Lines of sshd_config before the first Match.
    pub(crate) lines: String,
    /// The lines from there on.
    pub(crate) blocks: String,
    /// Commands for the shell.
    pub(crate) before: String,
    pub(crate) after: String,
    pub(crate) situations: Vec<Situation>,
}

/// One login, to be tried with both servers.
#[derive(Debug)]
pub(crate) struct Situation {
    /// The line of the table.
    pub(crate) line: String,
    pub(crate) account: String,
    /// The address that the client connects from, another one for each situation: by it lines in the log are found.
    pub(crate) from: String,
    /// With ours and with theirs.
    pub(crate) outcomes: [Outcome; 2],
    pub(crate) sentence: String,
    methods: Vec<Method>,
    options: Vec<String>,
}

/// What comes of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// The command ran.
    In,
    /// The user was logged in, but the command did not run.
    Idle,
    /// The client has no method left.
    Denied,
    /// The server ended the connection.
    Cut,
}

#[derive(Debug)]
enum Method {
    None,
    Keys(Vec<String>),
    Password(Vec<String>),
    KeyboardInteractive(Vec<String>),
    HostBased,
}

/// Reads the table.
pub(crate) fn read(text: &str) -> Result<Vec<Configuration>> {
    let mut configurations: Vec<Configuration> = Vec::new();
    for line in text.lines().map(str::trim) {
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        if let Some(title) = line.strip_prefix("== ") {
            configurations.push(Configuration {
                title: title.to_owned(),
                ..Configuration::default()
            });
            continue;
        }
        let number = configurations.iter().map(|it| it.situations.len()).sum();
        let configuration = configurations.last_mut().context("no title yet")?;
        let add = |to: &mut String, line: &str| {
            to.push_str(line);
            to.push('\n');
        };
        match line.split_at_checked(2) {
            Some(("+ ", line)) if line.starts_with("Match") || !configuration.blocks.is_empty() => {
                add(&mut configuration.blocks, line);
            }
            Some(("+ ", line)) => add(&mut configuration.lines, line),
            Some(("! ", line)) => add(&mut configuration.before, line),
            Some(("~ ", line)) => add(&mut configuration.after, line),
            _ => configuration
                .situations
                .push(situation(line, number).with_context(|| line.to_owned())?),
        }
    }
    Ok(configurations)
}

fn situation(line: &str, number: usize) -> Result<Situation> {
    let mut words = line.split_whitespace();
    let mut next = || words.next().context("a column is missing");
    let account = next()?.replace("%20", " ");
    let mut columns = next()?.split('/');
    let methods = columns.next().unwrap_or_default();
    let word = next()?;
    let (theirs, ours) = word.split_once('|').unwrap_or((word, word));
    let mut situation = Situation {
        line: line.to_owned(),
        account,
        from: format!("127.2.{}.{}", number / 250, number % 250 + 1),
        outcomes: [outcome(ours)?, outcome(theirs)?],
        sentence: words.collect::<Vec<_>>().join(" "),
        methods: methods.split('+').map(method).collect::<Result<_>>()?,
        options: Vec::new(),
    };
    for option in columns {
        match option.split_once('=') {
            None if option == "tt" => situation.options.push("-tt".to_owned()),
            Some(("from", address)) => situation.from = address.to_owned(),
            Some(("opt", option)) => situation.options.push(format!("-o '{option}'")),
            _ => bail!("no such option: {option}"),
        }
    }
    Ok(situation)
}

fn outcome(word: &str) -> Result<Outcome> {
    Ok(match word {
        "in" => Outcome::In,
        "idle" => Outcome::Idle,
        "denied" => Outcome::Denied,
        "cut" => Outcome::Cut,
        other => bail!("no such outcome: {other}"),
    })
}

fn method(text: &str) -> Result<Method> {
    let (name, list) = text.split_once(':').unwrap_or((text, ""));
    let list: Vec<String> = list.split(',').map(str::to_owned).collect();
    ensure!(
        list.len() < 10,
        "a file of answers and a list of keys are short"
    );
    Ok(match name {
        "none" => Method::None,
        "key" => Method::Keys(list),
        "pw" => Method::Password(list),
        "kbd" => Method::KeyboardInteractive(list),
        "host" => Method::HostBased,
        other => bail!("no such method: {other}"),
    })
}

impl Situation {
    /// The line for the shell that tries it: `whose` is `ours` or `theirs`.
    pub(crate) fn call(&self, whose: &str, port: u16, known_hosts: &str) -> String {
        let mut preferred: Vec<&str> = Vec::new();
        let mut options = self.options.clone();
        let mut answers: Vec<&str> = Vec::new();
        for method in &self.methods {
            preferred.push(match method {
                Method::None => "none",
                Method::Keys(names) => {
                    options.extend(names.iter().map(|name| {
                        let key = format!("-i /root/keys/{name}");
                        match name.starts_with("cert-") {
                            true => format!("{key} -o CertificateFile=/root/keys/{name}-cert.pub"),
                            false => key,
                        }
                    }));
                    "publickey"
                }
                Method::Password(list) => {
                    answers.extend(list.iter().map(String::as_str));
                    "password"
                }
                Method::KeyboardInteractive(list) => {
                    answers.extend(list.iter().map(String::as_str));
                    "keyboard-interactive"
                }
                Method::HostBased => {
                    options.push("-o HostbasedAuthentication=yes".to_owned());
                    "hostbased"
                }
            });
        }
        if !matches!(self.methods.as_slice(), [Method::None | Method::HostBased]) {
            options.push("-o IdentitiesOnly=yes".to_owned());
        }
        let prompts = answers.len().max(1);
        format!(
            "ANSWERS=/root/calls/{from}.{whose}; echo '{answers}' >$ANSWERS; export ANSWERS SSH_ASKPASS=/root/files/ask \
             SSH_ASKPASS_REQUIRE=force; exec timeout 15 ssh -v -F none {options} -o KexAlgorithms=curve25519-sha256 -o PreferredAuthentications={preferred} \
             -o NumberOfPasswordPrompts={prompts} -o IdentityAgent=none -o StrictHostKeyChecking=yes \
             -o UserKnownHostsFile={known_hosts} -o GlobalKnownHostsFile=none -o HostKeyAlias=localhost -p {port} -b {from} \
             -l '{account}' 127.0.0.1 'echo in as $(id -un) $GREETING'",
            from = self.from,
            answers = answers.join(" "),
            options = options.join(" "),
            preferred = preferred.join(","),
            account = self.account.replace('*', whose),
        )
    }
}
