//! Links the process with libpam.

fn main() {
    println!("cargo::rustc-link-lib=pam");
    println!("cargo::rerun-if-changed=build.rs");
}
