//! Rust source as the rules see it: the text, the text without comments, and the text without
//! comments, literals and test code, all with the same lines and columns.
//!
//! A scanner of tokens, no parser: it knows comments, literals, attributes and braces, and is
//! wrong where a macro hides an unbalanced brace, which `rustfmt` would refuse too.

use std::path::{Path, PathBuf};

/// One file of the repository.
pub struct Source {
    /// Relative to the repository's root, with `/`.
    pub path: String,
    /// The file as it is.
    pub text: String,
    /// Comments blanked out.
    pub uncommented: String,
    /// Comments, contents of literals, and items under `#[cfg(test)]` blanked out.
    pub code: String,
}

impl Source {
    /// Scans `text` as the file `path`.
    pub fn new(path: &str, text: &str) -> Self {
        let (uncommented, unquoted) = blank(text);
        let (code, tests) = without_tests(&unquoted);
        let uncommented = mask(&uncommented, &tests);
        Self { path: path.to_owned(), text: text.to_owned(), uncommented, code }
    }

    /// Module path inside the crate: `src/engine/mpegts/pes.rs` is `[engine, mpegts, pes]`.
    pub fn module(&self) -> Vec<String> {
        let path = self.path.trim_start_matches("src/").trim_end_matches(".rs");
        let path = path.trim_end_matches("/mod");
        path.split('/').filter(|part| *part != "lib").map(str::to_owned).collect()
    }

    /// True for files that hold tests only.
    pub fn is_test(&self) -> bool {
        !self.path.starts_with("src/")
            || self.path.ends_with("/tests.rs")
            || self.path.ends_with("/fixtures.rs")
            || self.path.contains("/tests/")
    }

    /// Line, from 1, of a byte offset.
    pub fn line(&self, offset: usize) -> usize {
        self.text[..offset].matches('\n').count() + 1
    }
}

/// Every `.rs` file below `folders` of the repository, sorted by path.
pub fn sources(folders: &[&str]) -> Vec<Source> {
    let root = root();
    let mut paths = Vec::new();
    for folder in folders {
        collect(&root.join(folder), &mut paths);
    }
    paths.sort();
    let read = |path: &PathBuf| {
        let text = std::fs::read_to_string(path).expect("a source file is readable UTF-8");
        let relative = path.strip_prefix(&root).expect("collected below the root");
        Source::new(&relative.to_string_lossy(), &text)
    };
    paths.iter().map(read).collect()
}

/// The repository's root.
pub fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn collect(folder: &Path, paths: &mut Vec<PathBuf>) {
    let Ok(entries) = std::fs::read_dir(folder) else { return };
    for entry in entries {
        let path = entry.expect("a directory entry is readable").path();
        if path.ends_with("node_modules") {
            continue;
        }
        if path.is_dir() {
            collect(&path, paths);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            paths.push(path);
        }
    }
}

/// Byte offsets at which `word` stands in `text` as a whole word, or, where it begins or ends
/// with punctuation, with nothing asked of that side.
pub fn occurrences(text: &str, word: &str) -> Vec<usize> {
    let bytes = text.as_bytes();
    let opens = word.bytes().next().is_some_and(is_word);
    let closes = word.bytes().last().is_some_and(is_word);
    text.match_indices(word)
        .map(|(at, _)| at)
        .filter(|&at| !opens || at == 0 || !is_word(bytes[at - 1]))
        .filter(|&at| !closes || bytes.get(at + word.len()).is_none_or(|next| !is_word(*next)))
        .collect()
}

/// The identifier that begins at `offset`, empty where none does.
pub fn identifier(text: &str, offset: usize) -> &str {
    let rest = &text[offset..];
    let length = rest.bytes().position(|byte| !is_word(byte)).unwrap_or(rest.len());
    &rest[..length]
}

/// The offset just after the brace that closes the one at `open`.
pub fn closing_brace(code: &str, open: usize) -> Option<usize> {
    let mut depth = 0_usize;
    for (at, byte) in code.bytes().enumerate().skip(open) {
        match byte {
            b'{' => depth += 1,
            b'}' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return Some(at + 1);
        }
    }
    None
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

/// Blanks comments, and comments with the contents of literals.
fn blank(text: &str) -> (String, String) {
    let bytes = text.as_bytes();
    let mut uncommented = bytes.to_vec();
    let mut unquoted = bytes.to_vec();
    let mut at = 0;
    while at < bytes.len() {
        let rest = &bytes[at..];
        let after_word = at > 0 && is_word(bytes[at - 1]);
        if let Some(length) = comment(rest) {
            wipe(&mut uncommented[at..at + length]);
            wipe(&mut unquoted[at..at + length]);
            at += length;
        } else if let Some(length) = literal(rest, after_word) {
            wipe(&mut unquoted[at + 1..at + length - 1]);
            at += length;
        } else {
            at += 1;
        }
    }
    let text = |bytes| String::from_utf8(bytes).expect("whole characters are blanked");
    (text(uncommented), text(unquoted))
}

/// Spaces for everything but line ends.
fn wipe(bytes: &mut [u8]) {
    for byte in bytes {
        if *byte != b'\n' {
            *byte = b' ';
        }
    }
}

/// Length of the comment that begins here.
fn comment(rest: &[u8]) -> Option<usize> {
    if rest.starts_with(b"//") {
        return Some(rest.iter().position(|byte| *byte == b'\n').unwrap_or(rest.len()));
    }
    if !rest.starts_with(b"/*") {
        return None;
    }
    let end = rest.windows(2).skip(2).position(|pair| pair == b"*/");
    Some(end.map_or(rest.len(), |position| position + 4))
}

/// Length of the string or character literal that begins here, quotes included.
fn literal(rest: &[u8], after_word: bool) -> Option<usize> {
    if rest[0] == b'"' {
        return Some(quoted(rest, b'"'));
    }
    if !after_word && (rest[0] == b'r' || rest.starts_with(b"br")) {
        let skipped = rest.iter().position(|byte| *byte == b'r')? + 1;
        let hashes = rest[skipped..].iter().take_while(|byte| **byte == b'#').count();
        if rest.get(skipped + hashes) != Some(&b'"') {
            return None;
        }
        let end: Vec<u8> = [b"\"".as_slice(), &vec![b'#'; hashes]].concat();
        let body = skipped + hashes + 1;
        let length = rest[body..].windows(end.len()).position(|window| window == end)?;
        return Some(body + length + end.len());
    }
    // 'x' and '\n' are characters, 'x without a closing quote is a lifetime.
    let character = rest[0] == b'\''
        && (rest.get(1) == Some(&b'\\')
            || rest.iter().skip(2).take(4).position(|byte| *byte == b'\'').is_some_and(|gap| {
                std::str::from_utf8(&rest[1..gap + 2]).is_ok_and(|text| text.chars().count() == 1)
            }));
    character.then(|| quoted(rest, b'\''))
}

fn quoted(rest: &[u8], quote: u8) -> usize {
    let mut at = 1;
    while at < rest.len() && rest[at] != quote {
        at += if rest[at] == b'\\' { 2 } else { 1 };
    }
    (at + 1).min(rest.len())
}

/// Blanks items under `#[cfg(test)]`; returns also where they stood.
fn without_tests(code: &str) -> (String, Vec<std::ops::Range<usize>>) {
    const ATTRIBUTE: &str = "#[cfg(test)]";
    let mut ranges = Vec::new();
    let mut from = 0;
    while let Some(found) = code[from..].find(ATTRIBUTE) {
        let start = from + found;
        let item = start + ATTRIBUTE.len();
        let ends: &[char] = if is_field(code[item..].trim_start()) { &[','] } else { &['{', ';'] };
        let end = match code[item..].find(ends).map(|offset| item + offset) {
            Some(at) if code.as_bytes()[at] == b'{' => closing_brace(code, at),
            Some(at) => Some(at + 1),
            None => None,
        };
        from = end.unwrap_or(code.len());
        ranges.push(start..from);
    }
    (mask(code, &ranges), ranges)
}

/// True where a field begins, of a struct or of its literal: `name: …,`.
fn is_field(rest: &str) -> bool {
    let after = &rest[identifier(rest, 0).len()..];
    after.starts_with(':') && !after.starts_with("::")
}

fn mask(text: &str, ranges: &[std::ops::Range<usize>]) -> String {
    let mut bytes = text.as_bytes().to_vec();
    for range in ranges {
        wipe(&mut bytes[range.clone()]);
    }
    String::from_utf8(bytes).expect("whole items are blanked")
}

#[test]
fn comments_literals_and_tests_are_told_from_code() {
    let text = "fn a<'x>(b: &'x str) { /* unsafe */ let c = \"un\\\"safe\"; } // unsafe\n\
                const Q: char = '\"'; const R: &str = r#\"unsafe \" {\"#;\n\
                #[cfg(test)]\nmod tests { fn d() { unsafe {} } }\nfn e() {}\n\
                fn f() -> F { F { a: 1, #[cfg(test)] b: true, } }\nfn g() {}\n";
    let source = Source::new("src/engine/mpegts/pes.rs", text);
    assert_eq!(occurrences(&source.code, "unsafe"), []);
    assert_eq!(occurrences(&source.uncommented, "unsafe").len(), 1, "the raw string's");
    assert_eq!(source.code.len(), text.len());
    assert_eq!(source.line(text.find("fn e").expect("it is there")), 5);
    assert!(source.code.contains("fn e() {}") && source.code.contains("fn a<'x>"));
    assert!(source.code.contains("a: 1,") && !source.code.contains("b: true"));
    assert!(source.code.contains("fn g() {}"));
    assert_eq!(source.module(), ["engine", "mpegts", "pes"]);
    assert_eq!(Source::new("src/engine/mod.rs", "").module(), ["engine"]);
}
