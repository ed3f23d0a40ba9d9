//! Which module names which: `crate::…` and `super::…` paths, in `use` items and in place.

use crate::source::{Source, identifier, occurrences};

/// A path into the crate, as one file names it.
pub struct Import {
    /// Segments from the crate's root, items included.
    pub path: Vec<String>,
    /// Byte offset of the path in the file.
    pub offset: usize,
}

/// Every path of `source` into its own crate, trees (`crate::a::{b, c}`) written out.
pub fn imports(source: &Source) -> Vec<Import> {
    let mut found = Vec::new();
    for offset in occurrences(&source.code, "crate::") {
        expand(&source.code, offset + "crate::".len(), &[], &mut |path| {
            found.push(Import { path, offset });
        });
    }
    let module = source.module();
    for offset in occurrences(&source.code, "super::") {
        // The later ones of `super::super::` are counted with the first.
        if source.code[..offset].ends_with("super::") {
            continue;
        }
        let mut from = offset;
        let mut base = module.clone();
        while source.code[from..].starts_with("super::") {
            from += "super::".len();
            base.pop();
        }
        expand(&source.code, from, &base, &mut |path| found.push(Import { path, offset }));
    }
    found
}

/// Walks the use tree at `at`, telling `found` every leaf; returns the offset after it.
fn expand(code: &str, at: usize, base: &[String], found: &mut dyn FnMut(Vec<String>)) -> usize {
    let mut path = base.to_vec();
    let mut at = at;
    loop {
        let name = identifier(code, at);
        if !name.is_empty() {
            path.push(name.to_owned());
            at += name.len();
            if code[at..].starts_with("::") {
                at += 2;
                continue;
            }
        } else if code[at..].starts_with('{') {
            return expand_braces(code, at + 1, &path, found);
        }
        found(path);
        return at;
    }
}

fn expand_braces(
    code: &str,
    at: usize,
    base: &[String],
    found: &mut dyn FnMut(Vec<String>),
) -> usize {
    let mut at = at;
    while at < code.len() {
        let rest = &code[at..];
        if rest.starts_with('}') {
            return at + 1;
        }
        let next = identifier(code, at);
        if !next.is_empty() && next != "as" || rest.starts_with('{') {
            at = expand(code, at, base, found);
        } else {
            // Commas, spaces, globs; and `as Name`, which names nothing of the crate.
            at += rest.chars().next().map_or(1, char::len_utf8);
            if next == "as" {
                at += code[at..].find([',', '}']).unwrap_or(0);
            }
        }
    }
    at
}

#[test]
fn trees_and_relative_paths_are_written_out() {
    let text = "use crate::engine::{codec::{self, Codec as C}, segment::Segment};\n\
                fn a() { super::pes::parse(crate::limits::MAX) }\n";
    let source = Source::new("src/engine/mpegts/demux.rs", text);
    let mut paths: Vec<String> = imports(&source).iter().map(|it| it.path.join("::")).collect();
    paths.sort();
    assert_eq!(
        paths,
        [
            "engine::codec::Codec",
            "engine::codec::self",
            "engine::mpegts::pes::parse",
            "engine::segment::Segment",
            "limits::MAX",
        ]
    );
}
