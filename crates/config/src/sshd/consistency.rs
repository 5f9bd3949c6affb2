//! What no line alone can show: values that need each other, or exclude each other.

use super::config::SshdConfig;
use super::configuration::Effective;
use super::report::{Error, ErrorKind};
use super::values::identification::LINE_LIMIT;
use super::values::words::Word;
use super::values::{AddressFamily, network};
use std::net::Ipv4Addr;

/// What is wrong with what holds outside of Match. As sshd when it starts: what blocks say together with the rest is
/// known per connection only.
pub(crate) fn check(global: &Effective) -> Vec<Error> {
    let config = &global.config;
    let problems = [
        commands(config),
        methods(config),
        listening(config),
        pool(global),
        identification(config),
    ];
    let error = |(keyword, kind): (&'static str, ErrorKind)| {
        // The last line that counts is the one to blame.
        let line = global.set_by.get(keyword).and_then(|lines| lines.last());
        let location = line.map(|line| (**line).clone());
        Error { location, kind }
    };
    problems.into_iter().flatten().map(error).collect()
}

/// A keyword to blame, and what for.
type Problem = (&'static str, ErrorKind);

fn commands(config: &SshdConfig) -> Vec<Problem> {
    let needs = |keyword, other| (keyword, ErrorKind::Needs { keyword, other });
    let mut problems = Vec::new();
    if config.authorized_keys_command.is_some() && config.authorized_keys_command_user.is_none() {
        problems.push(needs("AuthorizedKeysCommand", "AuthorizedKeysCommandUser"));
    }
    if config.authorized_principals_command.is_some()
        && config.authorized_principals_command_user.is_none()
    {
        problems.push(needs(
            "AuthorizedPrincipalsCommand",
            "AuthorizedPrincipalsCommandUser",
        ));
    }
    problems
}

fn methods(config: &SshdConfig) -> Vec<Problem> {
    let methods = &config.authentication_methods;
    if methods.satisfiable(|method| config.enables(method)) {
        return Vec::new();
    }
    let mut disabled: Vec<String> = Vec::new();
    for method in methods.names() {
        if !config.enables(method) && !disabled.iter().any(|known| known == method) {
            disabled.push(method.to_owned());
        }
    }
    vec![(
        "AuthenticationMethods",
        ErrorKind::Unsatisfiable { disabled },
    )]
}

fn listening(config: &SshdConfig) -> Vec<Problem> {
    let mut problems = Vec::new();
    if config.ports.len() > network::PORTS_LIMIT {
        problems.push(("Port", ErrorKind::TooManyPorts(network::PORTS_LIMIT)));
    }
    for address in &config.listen_addresses {
        let excluded = match config.address_family {
            AddressFamily::Any => false,
            AddressFamily::Inet => network::is_v6(&address.host),
            AddressFamily::Inet6 => address.host.parse::<Ipv4Addr>().is_ok(),
        };
        if excluded {
            let host = address.host.clone();
            let family = config.address_family.as_word();
            problems.push(("ListenAddress", ErrorKind::WrongFamily { host, family }));
        }
    }
    problems
}

fn pool(global: &Effective) -> Vec<Problem> {
    let pool = global.config.worker_pool;
    let (idle, max) = (pool.idle, pool.max);
    // One of them alone can be at odds with the default of the other.
    let blamed = match global.set_by.contains_key("WorkerPoolMax") {
        true => "WorkerPoolMax",
        false => "WorkerPoolIdle",
    };
    match idle > max {
        true => vec![(blamed, ErrorKind::PoolSizes { idle, max })],
        false => Vec::new(),
    }
}

fn identification(config: &SshdConfig) -> Vec<Problem> {
    let length = config.identification().len() + "\r\n".len();
    match length > LINE_LIMIT {
        true => vec![("SoftwareVersion", ErrorKind::LongIdentification { length })],
        false => Vec::new(),
    }
}
