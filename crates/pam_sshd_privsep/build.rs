//! Links the module with libpam.

fn main() {
    // Said here and not left to the host program: systemd 259 and later loads libpam with RTLD_LOCAL, and a module that
    // does not name it finds none of its functions ("Module is unknown").
    println!("cargo::rustc-link-lib=pam");
    println!("cargo::rerun-if-changed=build.rs");
}
