//! libpam as an application uses it, by hand: a few tests are not worth a binding.
#![expect(unsafe_code, reason = "drives libpam, a C library")]

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::env;
use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::fs;
use std::os::fd::AsRawFd;
use std::path::PathBuf;
use std::ptr::{null, null_mut};

pub(crate) const PAM_SUCCESS: c_int = 0;
pub(crate) const PAM_SYSTEM_ERR: c_int = 4;
pub(crate) const PAM_ACCT_EXPIRED: c_int = 13;
pub(crate) const PAM_SESSION_ERR: c_int = 14;
pub(crate) const PAM_TTY: c_int = 3;
pub(crate) const PAM_RHOST: c_int = 4;

/// An application's side of a transaction with a stack of its own.
pub(crate) struct Application {
    handle: *mut c_void,
    configuration: PathBuf,
    conversation: Box<Listener>,
}

/// What the conversation of a transaction finds. libpam gives data to modules only, and it takes the function that a module
/// (pam_echo here, after ours) converses with for a part of the module.
#[derive(Default)]
struct Listener {
    handle: Cell<*mut c_void>,
    data: RefCell<BTreeMap<&'static str, String>>,
}

/// Services that judge.
const SERVICES: [(&str, &str); 5] = [
    ("permits", "required pam_permit.so"),
    ("refuses", "required pam_debug.so acct=acct_expired"),
    (
        "wants-a-new-password",
        "required pam_debug.so acct=new_authtok_reqd",
    ),
    (
        "talks",
        "required pam_echo.so the disk is\naccount required pam_echo.so full of %u",
    ),
    (
        "knows-whence",
        "required pam_succeed_if.so quiet rhost = 203.0.113.9 tty = ssh user = nobody",
    ),
];

const DATA: [(&CStr, &str); 5] = [
    (c"systemd.memory_max", "memory_max"),
    (c"systemd.tasks_max", "tasks_max"),
    (c"systemd.cpu_weight", "cpu_weight"),
    (c"systemd.io_weight", "io_weight"),
    (c"systemd.runtime_max_sec", "runtime_max_sec"),
];

extern "C" fn listen(
    _count: c_int,
    _messages: *const c_void,
    _responses: *mut c_void,
    listener: *mut c_void,
) -> c_int {
    // SAFETY: the pointer is the one given to pam_start_confdir, to what the application keeps until pam_end.
    let listener = unsafe { &*listener.cast::<Listener>() };
    for (name, short) in DATA {
        let mut value = null();
        // SAFETY: libpam called this with a live handle; data of these names are strings.
        if unsafe { pam_get_data(listener.handle.get(), name.as_ptr(), &mut value) } == PAM_SUCCESS
            && let Some(value) = copy(value.cast::<c_char>())
        {
            listener.data.borrow_mut().insert(short, value);
        }
    }
    PAM_SUCCESS
}

impl Application {
    pub(crate) fn start(name: &str) -> Self {
        let module = env::current_exe()
            .unwrap()
            .parent()
            .unwrap()
            .join("libpam_sshd_privsep.so");
        assert!(module.exists(), "{}", module.display());
        let configuration = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
        fs::create_dir_all(&configuration).unwrap();
        let module = module.display();
        let stack = format!(
            "account [success=done ignore=ignore default=die] {module} confdir={}\n\
             account required pam_permit.so\nsession required {module}\n\
             session required pam_permit.so\nsession optional pam_echo.so now\n\
             session required {module} greeting=greeting confdir={}\n",
            configuration.display(),
            configuration.display()
        );
        let environment = configuration.join("environment");
        fs::write(&environment, "GREETED=yes\n").unwrap();
        let greeting = format!(
            "session required pam_env.so conffile=/dev/null envfile={}\n\
             session optional pam_echo.so welcome\nsession optional pam_echo.so back\n",
            environment.display()
        );
        fs::write(configuration.join("greeting"), greeting).unwrap();
        fs::write(configuration.join("stack"), stack).unwrap();
        for (service, account) in SERVICES {
            fs::write(configuration.join(service), format!("account {account}\n")).unwrap();
        }

        let directory = CString::new(configuration.to_str().unwrap()).unwrap();
        let listener = Box::<Listener>::default();
        let conversation = Conversation {
            _conv: listen,
            _data: (&raw const *listener).cast_mut().cast::<c_void>(),
        };
        let mut handle = null_mut();
        // SAFETY: all strings outlive the call, and libpam copies the conversation.
        let code = unsafe {
            pam_start_confdir(
                c"stack".as_ptr(),
                c"nobody".as_ptr(),
                &conversation,
                directory.as_ptr(),
                &mut handle,
            )
        };
        assert_eq!(code, 0);
        listener.handle.set(handle);
        Self {
            handle,
            configuration,
            conversation: listener,
        }
    }

    pub(crate) fn put(&self, variable: &CStr) {
        // SAFETY: the handle is live until drop; the string outlives the call.
        assert_eq!(unsafe { pam_putenv(self.handle, variable.as_ptr()) }, 0);
    }

    pub(crate) fn variable(&self, name: &CStr) -> Option<String> {
        // SAFETY: the handle is live until drop.
        let value = unsafe { pam_getenv(self.handle, name.as_ptr()) };
        copy(value)
    }

    pub(crate) fn item(&self, number: c_int) -> Option<String> {
        let mut value = null();
        // SAFETY: the handle is live until drop; the items asked for are strings.
        assert_eq!(unsafe { pam_get_item(self.handle, number, &mut value) }, 0);
        let value = value.cast::<c_char>();
        copy(value)
    }

    /// What modules after ours found among the data of the transaction, when the session was opened.
    pub(crate) fn data(&self) -> Vec<(&'static str, String)> {
        self.conversation
            .data
            .borrow()
            .clone()
            .into_iter()
            .collect()
    }

    pub(crate) fn account(&self) -> c_int {
        // SAFETY: the handle is live until drop.
        unsafe { pam_acct_mgmt(self.handle, 0) }
    }

    pub(crate) fn open(&self) -> c_int {
        // SAFETY: the handle is live until drop.
        unsafe { pam_open_session(self.handle, 0) }
    }

    pub(crate) fn close(&self) -> c_int {
        // SAFETY: the handle is live until drop.
        unsafe { pam_close_session(self.handle, 0) }
    }
}

impl Drop for Application {
    fn drop(&mut self) {
        // SAFETY: the handle came from pam_start_confdir and is ended once.
        unsafe { pam_end(self.handle, 0) };
        drop(fs::remove_dir_all(&self.configuration));
    }
}

/// Puts a socket at standard input, where systemd has that of a unit.
pub(crate) fn become_stdin(socket: &impl AsRawFd) {
    // SAFETY: both descriptors are open, and nobody else in these tests uses descriptor 0.
    assert_eq!(unsafe { dup2(socket.as_raw_fd(), 0) }, 0);
}

fn copy(value: *const c_char) -> Option<String> {
    if value.is_null() {
        return None;
    }
    // SAFETY: libpam answers with null or a terminated string of the transaction, and it is copied at once.
    let value = unsafe { CStr::from_ptr(value) };
    Some(value.to_str().unwrap().to_owned())
}

/// `struct pam_conv`.
#[repr(C)]
struct Conversation {
    _conv: extern "C" fn(c_int, *const c_void, *mut c_void, *mut c_void) -> c_int,
    _data: *mut c_void,
}

unsafe extern "C" {
    fn dup2(old: c_int, new: c_int) -> c_int;
}

#[link(name = "pam")]
unsafe extern "C" {
    fn pam_start_confdir(
        service: *const c_char,
        user: *const c_char,
        conversation: *const Conversation,
        directory: *const c_char,
        handle: *mut *mut c_void,
    ) -> c_int;
    fn pam_end(handle: *mut c_void, status: c_int) -> c_int;
    fn pam_putenv(handle: *mut c_void, name_value: *const c_char) -> c_int;
    fn pam_getenv(handle: *mut c_void, name: *const c_char) -> *const c_char;
    fn pam_get_item(handle: *const c_void, item: c_int, value: *mut *const c_void) -> c_int;
    fn pam_get_data(handle: *const c_void, name: *const c_char, data: *mut *const c_void) -> c_int;
    fn pam_acct_mgmt(handle: *mut c_void, flags: c_int) -> c_int;
    fn pam_open_session(handle: *mut c_void, flags: c_int) -> c_int;
    fn pam_close_session(handle: *mut c_void, flags: c_int) -> c_int;
}
