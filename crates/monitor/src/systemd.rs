//! The service manager: everything that is started is started by systemd, on request, over D-Bus.
//!
//! Workers of the service are instances of a template unit. Those of a second instance, and all
//! sessions, are transient units whose policy is in packaged drop-ins
//! (`sshd-privsep-session-.service.d/10-vendor.conf`), where the administrator can override it, and
//! which win over what is sent here. So this process sends only what it alone knows: the user, the
//! descriptors, and where the client is.

mod command;

use std::future::Future;
use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

use config::sshd::{SessionProperty, YesNo};
use rpc::ConnectionId;
use rpc::pam::Authority;
use thiserror::Error;
use tokio::sync::Mutex;
use zbus::connection::Builder;
use zbus::export::serde::Serialize;
use zbus::export::serde::de::DeserializeOwned;
use zbus::zvariant::Type;
use zbus::{Connection, DynamicType, Fd, Message, OwnedObjectPath, Variant};

pub use self::command::{CommandEnd, CommandUnit, CommandUser};

/// How long systemd may take to accept a job. It answers in 2 to 5 ms; this is for a bus that hangs.
const CALL_DEADLINE: Duration = Duration::from_secs(10);

const SYSTEMD: &str = "org.freedesktop.systemd1";
const MANAGER: &str = "org.freedesktop.systemd1.Manager";
const MANAGER_PATH: &str = "/org/freedesktop/systemd1";
const UNIT: &str = "org.freedesktop.systemd1.Unit";
const SERVICE: &str = "org.freedesktop.systemd1.Service";
const PROPERTIES: &str = "org.freedesktop.DBus.Properties";
const NO_SUCH_UNIT: &str = "org.freedesktop.systemd1.NoSuchUnit";
/// The programs of transient units. Drop-ins reset and set them again; systemd wants one in the call.
const SESSION_PROGRAM: &str = "/usr/libexec/sshd-privsep/session";
const WORKER_PROGRAM: &str = "/usr/libexec/sshd-privsep/preauth";
const PAM_PROGRAM: &str = "/usr/libexec/sshd-privsep/pam";
/// CPUQuota= counts percents of one processor, the bus microseconds of it in each second.
const MICROSECONDS_PER_PERCENT: u64 = 10_000;
/// What marks the lines of a connection in the journal, as in crate `journal`.
const CONNECTION_FIELD: &str = "SSHD_CONN";

/// Number of a worker: the instance of its template unit. Never used twice by one monitor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Instance(pub u64);

impl Instance {
    const PREFIX: &str = "sshd-privsep-preauth@";
    const SUFFIX: &str = ".service";

    /// The unit of this worker.
    pub fn unit(self) -> String {
        format!("{}{}{}", Self::PREFIX, self.0, Self::SUFFIX)
    }

    /// The unit of this worker when it is one of the second instance with this process id.
    pub fn transient_unit(self, monitor: u32) -> String {
        format!("sshd-privsep-preauth-{monitor}-{}.service", self.0)
    }

    /// The worker whose unit this is. Only the spelling of [`Instance::unit`] counts.
    pub fn of_unit(unit: &str) -> Option<Self> {
        let number = unit.strip_prefix(Self::PREFIX)?;
        let instance = Self(number.strip_suffix(Self::SUFFIX)?.parse().ok()?);
        (instance.unit() == unit).then_some(instance)
    }
}

/// A worker to start.
#[derive(Debug)]
pub enum WorkerUnit {
    /// An instance of the template unit.
    Instance(Instance),
    /// A transient unit.
    Transient {
        /// Its name.
        name: String,
        /// Standard input and output: the worker's end of its stream.
        stdio: OwnedFd,
    },
}

/// A session to start.
#[derive(Debug)]
pub struct SessionUnit {
    /// The connection that it belongs to.
    pub id: ConnectionId,
    /// Login name, for `User=`.
    pub user: String,
    /// The client's host, for PAM_RHOST: its name if UseDNS found one, else its address.
    pub remote_host: String,
    /// Who judges whether the account may be used: pam_sshd_privsep(8) asks.
    pub authority: Authority,
    /// ExposeAuthInfo: the session needs a place for a file that goes with it.
    pub exposes_auth_info: YesNo,
    /// What it does about its root directory.
    pub root: SessionRoot,
    /// What it may use of the machine. It has no limits of its own without them.
    pub properties: Vec<SessionProperty>,
    /// Standard input and output: the session's end of its lane.
    pub stdio: OwnedFd,
}

/// What a session does about its root directory, which takes capabilities.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SessionRoot {
    /// Nothing.
    Kept,
    /// It changes it: ChrootDirectory is in force.
    Changed,
}

/// The capabilities to change it: to do so, and to find directories that administrators have put where users cannot see
/// them. The session gives the second one up before it serves anybody, and none of its programs gets either.
const CHANGING_ROOT: u64 = 1 << 18 | 1 << 2;

impl SessionUnit {
    /// The unit of a connection's session.
    pub fn name(id: ConnectionId) -> String {
        format!("{}.service", Self::directory(id))
    }

    /// Its directory in `/run`, if it has one.
    fn directory(id: ConnectionId) -> String {
        format!("sshd-privsep-session-{id}")
    }
}

/// A process for one PAM transaction.
#[derive(Debug)]
pub struct PamUnit {
    /// The connection that it belongs to.
    pub id: ConnectionId,
    /// Which of this monitor's transactions it is: a connection may have several.
    pub number: u64,
    /// Standard input and output: the process's end of its socket.
    pub stdio: OwnedFd,
}

impl PamUnit {
    /// The unit of a transaction.
    pub fn name(id: ConnectionId, number: u64) -> String {
        format!("sshd-privsep-pam-{id}-{number}.service")
    }
}

/// Why a unit was not started.
#[derive(Debug, Error)]
pub enum StartError {
    /// The bus is not there, or its connection broke.
    #[error("system bus: {0}")]
    Bus(zbus::Error),
    /// systemd refused.
    #[error("systemd refused: {0}")]
    Refused(zbus::Error),
    /// The connection to the bus broke while something was waited for.
    #[error("connection to the system bus is lost")]
    Lost,
    /// No answer in time.
    #[error("systemd did not answer in time")]
    Deadline,
}

/// What the rest of the monitor needs of a service manager.
pub trait ServiceManager: Send + Sync + 'static {
    /// Queues the start of a worker. When this returns, no copy of its descriptor is left here.
    fn start_worker(
        &self,
        worker: WorkerUnit,
    ) -> impl Future<Output = Result<(), StartError>> + Send;

    /// Queues the start of a session. When this returns, no copy of its descriptor is left here.
    fn start_session(
        &self,
        unit: SessionUnit,
    ) -> impl Future<Output = Result<(), StartError>> + Send;

    /// Runs a command and waits for its end, or for `enough`, at which it is stopped. When this
    /// returns, no copy of its descriptor is left here and nothing of it runs; so it has to be waited
    /// for. If it is not, the unit is left to its own time limit.
    fn run_command(
        &self,
        unit: CommandUnit,
        enough: impl Future<Output = ()> + Send,
    ) -> impl Future<Output = Result<CommandEnd, StartError>> + Send;

    /// Limits the processor time of what a session that is up belongs to: `percent` of one processor.
    fn limit_session(
        &self,
        unit: &str,
        percent: u32,
    ) -> impl Future<Output = Result<(), StartError>> + Send;

    /// Stops a session with all that runs in it.
    fn stop_session(&self, unit: &str) -> impl Future<Output = Result<(), StartError>> + Send;

    /// Queues the start of a process for a PAM transaction. When this returns, no copy of its descriptor is left here.
    fn start_pam(&self, unit: PamUnit) -> impl Future<Output = Result<(), StartError>> + Send;

    /// Stops a process for a PAM transaction, and what its modules have left behind.
    fn stop_pam(&self, unit: &str) -> impl Future<Output = Result<(), StartError>> + Send;

    /// Kills a worker that broke its contract: one that is corrupted would not go by itself.
    fn kill_worker(&self, unit: &str) -> impl Future<Output = Result<(), StartError>> + Send;
}

/// systemd on the system bus. The private socket of PID 1 is faster, but the library cannot speak
/// on it without a bus.
#[derive(Default)]
pub struct Systemd {
    /// `None` before the first call and after the bus died.
    connection: Mutex<Option<Connection>>,
}

impl Systemd {
    /// The connection to the bus; a new one if the last is dead.
    async fn bus(&self) -> Result<Connection, StartError> {
        let mut slot = self.connection.lock().await;
        if let Some(connection) = slot.as_ref()
            && !connection.is_closed()
        {
            return Ok(connection.clone());
        }
        let connection = Builder::system().build().await.map_err(StartError::Bus)?;
        *slot = Some(connection.clone());
        Ok(connection)
    }

    async fn call<B>(&self, method: &'static str, body: &B) -> Result<(), StartError>
    where
        B: Serialize + DynamicType + Sync,
    {
        self.request(MANAGER_PATH, MANAGER, method, body)
            .await
            .map(drop)
    }

    async fn request<B>(
        &self,
        path: &str,
        interface: &'static str,
        method: &'static str,
        body: &B,
    ) -> Result<Message, StartError>
    where
        B: Serialize + DynamicType + Sync,
    {
        let call = async {
            let bus = self.bus().await?;
            match bus
                .call_method(Some(SYSTEMD), path, Some(interface), method, body)
                .await
            {
                Ok(reply) => Ok(reply),
                Err(error @ (zbus::Error::MethodError(..) | zbus::Error::FDO(_))) => {
                    Err(StartError::Refused(error))
                }
                Err(error) => Err(StartError::Bus(error)),
            }
        };
        tokio::time::timeout(CALL_DEADLINE, call)
            .await
            .unwrap_or(Err(StartError::Deadline))
    }
}

impl Systemd {
    /// Queues the start of a transient unit with these properties and one socket.
    async fn start_transient(
        &self,
        name: String,
        program: &'static str,
        stdio: OwnedFd,
        mut properties: Vec<(&'static str, Variant<'_>)>,
    ) -> Result<(), StartError> {
        let program = vec![(program, vec![program], false)];
        // One descriptor for both: what a program has to say goes to the journal. systemd prefers it
        // to StandardInput= and StandardOutput= of the drop-ins.
        let socket = || Variant::Fd(Fd::from(stdio.as_fd()));
        properties.extend([
            ("ExecStart", Variant::from(program)),
            ("StandardInputFileDescriptor", socket()),
            ("StandardOutputFileDescriptor", socket()),
        ]);
        let auxiliary: Vec<(&str, Vec<(&str, Variant<'_>)>)> = Vec::new();
        let body = (name, "fail", properties, auxiliary);
        self.call("StartTransientUnit", &body).await
    }
}

impl Systemd {
    async fn stop(&self, unit: &str) -> Result<(), StartError> {
        unless_gone(self.call("StopUnit", &(unit, "replace")).await)
    }

    /// What a method of the manager answers.
    async fn ask<B, T>(&self, method: &'static str, body: &B) -> Result<T, StartError>
    where
        B: Serialize + DynamicType + Sync,
        T: DeserializeOwned + Type,
    {
        let reply = self.request(MANAGER_PATH, MANAGER, method, body).await?;
        reply.body().deserialize().map_err(StartError::Bus)
    }

    /// Queues the restart of the socket unit, unless it was stopped. It restarts this service too, which requires it.
    ///
    /// # Errors
    /// See [`StartError`].
    pub async fn restart_socket(&self) -> Result<(), StartError> {
        self.call("TryRestartUnit", &("sshd-privsep.socket", "replace"))
            .await
    }
}

impl ServiceManager for Systemd {
    async fn start_worker(&self, worker: WorkerUnit) -> Result<(), StartError> {
        match worker {
            WorkerUnit::Instance(instance) => {
                self.call("StartUnit", &(instance.unit(), "fail")).await
            }
            WorkerUnit::Transient { name, stdio } => {
                let properties = Vec::new();
                self.start_transient(name, WORKER_PROGRAM, stdio, properties)
                    .await
            }
        }
    }

    async fn start_session(&self, unit: SessionUnit) -> Result<(), StartError> {
        let description = format!("SSH session of {} from {}", unit.user, unit.remote_host);
        let mut properties = vec![
            ("Description", Variant::from(description)),
            ("Environment", Variant::from(environment(&unit))),
            ("User", Variant::from(unit.user)),
        ];
        if unit.exposes_auth_info == YesNo::Yes {
            // Whatever becomes of the session, systemd removes it.
            let directory = vec![SessionUnit::directory(unit.id)];
            properties.push(("RuntimeDirectory", Variant::from(directory)));
            properties.push(("RuntimeDirectoryMode", Variant::from(0o700_u32)));
        }
        if unit.root == SessionRoot::Changed {
            properties.push(("AmbientCapabilities", Variant::from(CHANGING_ROOT)));
        }
        let name = SessionUnit::name(unit.id);
        self.start_transient(name, SESSION_PROGRAM, unit.stdio, properties)
            .await
    }

    async fn run_command(
        &self,
        unit: CommandUnit,
        enough: impl Future<Output = ()> + Send,
    ) -> Result<CommandEnd, StartError> {
        self.run(unit, enough).await
    }

    async fn limit_session(&self, unit: &str, percent: u32) -> Result<(), StartError> {
        // Of a session's unit only the first process is known. logind has moved it to a scope, whose name nobody tells
        // the one who started the unit.
        let path: OwnedObjectPath = self.ask("GetUnit", &unit).await?;
        let reply = self
            .request(&path, PROPERTIES, "Get", &(SERVICE, "MainPID"))
            .await?;
        let body = reply.body();
        let process: Variant<'_> = body.deserialize().map_err(StartError::Bus)?;
        let process = u32::try_from(process).map_err(StartError::Bus)?;
        let scope: OwnedObjectPath = self.ask("GetUnitByPID", &process).await?;
        let quota = Variant::from(u64::from(percent) * MICROSECONDS_PER_PERCENT);
        let properties = vec![("CPUQuotaPerSecUSec", quota)];
        self.request(&scope, UNIT, "SetProperties", &(true, properties))
            .await
            .map(drop)
    }

    async fn kill_worker(&self, unit: &str) -> Result<(), StartError> {
        let signal = rustix::process::Signal::KILL.as_raw();
        unless_gone(self.call("KillUnit", &(unit, "all", signal)).await)
    }

    async fn stop_session(&self, unit: &str) -> Result<(), StartError> {
        self.stop(unit).await
    }

    async fn start_pam(&self, unit: PamUnit) -> Result<(), StartError> {
        let name = PamUnit::name(unit.id, unit.number);
        // Modules speak by syslog(3), and know nothing of connections.
        let connection = format!("{CONNECTION_FIELD}={}", unit.id).into_bytes();
        let properties = vec![("LogExtraFields", Variant::from(vec![connection]))];
        self.start_transient(name, PAM_PROGRAM, unit.stdio, properties)
            .await
    }

    async fn stop_pam(&self, unit: &str) -> Result<(), StartError> {
        self.stop(unit).await
    }
}

/// What pam_sshd_privsep(8) is told. Everybody may read it, as all of a unit's properties: nothing
/// here says more than the lists of units and of who is logged in. How the user was authenticated is
/// in the unit's standard input.
fn environment(unit: &SessionUnit) -> Vec<String> {
    let mut environment = vec![
        format!("SSHD_PRIVSEP_RHOST={}", unit.remote_host),
        "SSHD_PRIVSEP_TTY=ssh".to_owned(),
        format!("SSHD_PRIVSEP_ACCOUNT={}", judge(&unit.authority)),
        "SSHD_PRIVSEP_AUTH_INFO=stdin".to_owned(),
    ];
    environment.extend(unit.properties.iter().filter_map(variable));
    environment
}

/// Who judges, as pam_sshd_privsep(8) reads it. A drop-in with another `PAMName=` has the last word, as far as that has
/// the module in it.
fn judge(authority: &Authority) -> &str {
    match authority {
        Authority::Pam(service) => service.as_str(),
        Authority::Shadow => "-",
    }
}

/// A property as pam_sshd_privsep(8) reads it. It is not set on the unit: logind moves the session's processes from
/// there to a scope of their own, whose properties pam_systemd(8) names.
fn variable(property: &SessionProperty) -> Option<String> {
    let name = match property {
        SessionProperty::MemoryMax(_) => "MEMORY_MAX",
        SessionProperty::TasksMax(_) => "TASKS_MAX",
        SessionProperty::CpuWeight(_) => "CPU_WEIGHT",
        SessionProperty::IoWeight(_) => "IO_WEIGHT",
        SessionProperty::RuntimeMaxSec(_) => "RUNTIME_MAX_SEC",
        // pam_systemd(8) takes none: see `limit_session`.
        SessionProperty::CpuQuota(_) => return None,
    };
    Some(format!("SSHD_PRIVSEP_{name}={}", property.value()))
}

/// What is to end may have gone in the meantime, and its unit with it.
fn unless_gone(outcome: Result<(), StartError>) -> Result<(), StartError> {
    match outcome {
        Err(StartError::Refused(zbus::Error::MethodError(name, ..))) if name == NO_SUCH_UNIT => {
            Ok(())
        }
        outcome => outcome,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_transient_unit_is_never_taken_for_an_instance() {
        let unit = Instance(7).transient_unit(3);
        assert_eq!(unit, "sshd-privsep-preauth-3-7.service");
        assert_eq!(Instance::of_unit(&unit), None);
    }

    #[test]
    fn an_instance_is_known_by_its_own_spelling_only() {
        assert_eq!(Instance(7).unit(), "sshd-privsep-preauth@7.service");
        assert_eq!(
            Instance::of_unit("sshd-privsep-preauth@7.service"),
            Some(Instance(7))
        );
        for unit in [
            "sshd-privsep-preauth@07.service",
            "sshd-privsep-preauth@+7.service",
            "sshd-privsep-preauth@7.socket",
            "sshd-privsep-preauth@.service",
            "sshd-privsep-preauth@7x.service",
            "xsshd-privsep-preauth@7.service",
            "ssh.service",
        ] {
            assert_eq!(Instance::of_unit(unit), None, "{unit}");
        }
    }
}
