//! Reads `tests/vectors`: lines of `name = hex`, in sections, with comments.

/// The value of a name in a section; before the first section if that is "".
pub(super) fn value(text: &str, section: &str, name: &str) -> Vec<u8> {
    let header = format!("[{section}]");
    let start = match section {
        "" => 0,
        _ => text.find(&header).expect("no such section") + header.len(),
    };
    text[start..]
        .lines()
        .take_while(|line| !line.starts_with('['))
        .filter_map(|line| line.split_once(" = "))
        .find(|(key, _)| *key == name)
        .map(|(_, value)| hex(value))
        .expect("no such name")
}

fn hex(text: &str) -> Vec<u8> {
    let digit = |byte: u8| u8::try_from(char::from(byte).to_digit(16).unwrap()).unwrap();
    text.as_bytes()
        .chunks_exact(2)
        .map(|pair| digit(pair[0]) << 4 | digit(pair[1]))
        .collect()
}
