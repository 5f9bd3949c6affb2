//! What the programs of the package link, and how they are hardened.

use std::path::{Path, PathBuf};

use anyhow::Result;
use security::shipped::binaries;

/// What every Rust program has: libc, its loader, and the unwinder.
const BASE: &[&str] = &[
    "libc.so.6",
    "libgcc_s.so.1",
    "ld-linux-x86-64.so.2",
    "ld-linux-aarch64.so.1",
];

/// File name and the libraries beyond [`BASE`] that it may link. A library is code that runs with the program's
/// privileges: one more for the monitor, or a cryptographic one for the session, is a decision and belongs here.
const ALLOWED: &[(&str, &[&str])] = &[
    ("monitor", &[]),
    // libm is a part of libc.
    ("preauth", &["libm.so.6"]),
    ("session", &[]),
    ("sftp", &[]),
    // It is for what these do. crypt(3) judges passwords where PAM does not.
    ("pam", &["libpam.so.0", "libcrypt.so.1"]),
    ("accounting", &[]),
    // SQLite is in it.
    ("wtmpdb", &["libm.so.6"]),
    ("sshd-privsep", &[]),
    ("sshd-privsepctl", &[]),
    ("sshd-privsep-generator", &[]),
    ("pam_sshd_privsep.so", &["libpam.so.0"]),
];

fn scratch(name: &str) -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join(name)
}

#[test]
fn programs_link_what_is_on_the_list_and_nothing_else() -> Result<()> {
    for binary in binaries(&scratch("libraries"))? {
        let path = binary.installed.display();
        let name = binary
            .installed
            .file_name()
            .and_then(|name| name.to_str())
            .unwrap_or_default();
        let Some((_, extra)) = ALLOWED.iter().find(|(known, _)| *known == name) else {
            panic!("{path} is new: say in this test what it may link");
        };
        for library in binary.libraries()? {
            let known = BASE
                .iter()
                .chain(extra.iter())
                .any(|allowed| *allowed == library);
            assert!(known, "{path} links {library}");
        }
    }
    Ok(())
}

#[test]
fn the_pam_module_names_libpam_itself() -> Result<()> {
    // systemd 259 and later load libpam RTLD_LOCAL; a module that relies on its host for it is "unknown" there.
    let binaries = binaries(&scratch("pam"))?;
    let module = binaries
        .iter()
        .find(|binary| binary.installed.ends_with("pam_sshd_privsep.so"));
    let libraries = module
        .map(|module| module.libraries())
        .transpose()?
        .unwrap_or_default();
    assert!(
        libraries.contains(&"libpam.so.0".to_owned()),
        "{libraries:?}"
    );
    Ok(())
}

#[test]
fn programs_are_position_independent_with_read_only_relocations_and_no_executable_stack()
-> Result<()> {
    for binary in binaries(&scratch("hardening"))? {
        let path = binary.installed.display();
        let header = binary.readelf("--file-header")?;
        assert!(
            header
                .lines()
                .any(|line| line.contains("Type:") && line.contains("DYN")),
            "{path} has a fixed address"
        );
        let segments = binary.readelf("--program-headers")?;
        assert!(
            segments.contains("GNU_RELRO"),
            "{path} has writable relocations"
        );
        let stack = segments
            .lines()
            .find(|line| line.contains("GNU_STACK"))
            .unwrap_or("no GNU_STACK");
        assert!(
            stack.contains(" RW "),
            "{path} has an executable stack: {stack}"
        );
        let dynamic = binary.readelf("--dynamic")?;
        assert!(dynamic.contains("NOW"), "{path} binds symbols late");
        assert!(
            !dynamic.contains("(RPATH)") && !dynamic.contains("(RUNPATH)"),
            "{path} has a library path of its own"
        );
    }
    Ok(())
}

#[test]
fn no_attempts_are_compiled_into_what_ships() -> Result<()> {
    for binary in binaries(&scratch("probe"))? {
        let strings = binary.readelf("--string-dump=.rodata")?;
        assert!(
            !strings.contains(sandbox::probe::PLAN_VARIABLE),
            "{} is a test build",
            binary.installed.display()
        );
    }
    Ok(())
}
