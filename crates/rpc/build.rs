//! Generates the protobuf types and gRPC services from `proto/`, with a compiler that is a crate:
//! no protoc is needed on the builder.

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let root = "../../proto";
    let files = [
        "types.proto",
        "accounting.proto",
        "lane.proto",
        "pam.proto",
        "preauth.proto",
        "session.proto",
        "stored.proto",
        "admin.proto",
    ];
    for file in files {
        println!("cargo:rerun-if-changed={root}/{file}");
    }
    let descriptors = protox::compile(files, [root])?;
    // The services are served and called over a single connected socket: no code that connects.
    tonic_prost_build::configure()
        .build_transport(false)
        .compile_fds(descriptors)?;
    Ok(())
}
