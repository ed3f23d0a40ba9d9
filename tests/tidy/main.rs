//! Holds the rules of the code base that a compiler does not: layers, sizes, words.
//!
//! Each failure names a file, a line and what to do instead. A rule that has to change changes
//! here, in the same commit as the code that needs it.

mod faults;
mod imports;
mod source;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use imports::imports;
use source::{Source, closing_brace, identifier, occurrences, root, sources};

const FILE_LINE_COUNT_MAX: usize = 800;
const FUNCTION_LINE_COUNT_MAX: usize = 70;
const LINE_COLUMN_COUNT_MAX: usize = 100;

/// Folders (and files) of `src` from the top down; an import may only point further down.
/// Two names in one row may not import each other.
const LAYERS: &[&[&str]] =
    &[&["main"], &["control"], &["shard"], &["http"], &["ring"], &["engine"], &["units", "limits"]];

/// Where `unsafe` may stand; each of these files argues for it in its module documentation.
const UNSAFE_ALLOWED: &[&str] =
    &["src/ring/fault.rs", "src/ring/map.rs", "src/ring/sys.rs", "src/shard/rt/"];

/// Words that may stand in code below the first column's folder only outside the second's.
struct Ban {
    folder: &'static str,
    except: &'static str,
    words: &'static [&'static str],
    instead: &'static str,
}

const NOWHERE: &str = "-";
const BANS: &[Ban] = &[
    Ban {
        folder: "src/engine/",
        except: NOWHERE,
        words: &["Instant", "SystemTime", "jiff::Timestamp::now", "Zoned::now"],
        instead: "the engine reads no clock: take the time as an argument",
    },
    Ban {
        folder: "src/engine/",
        except: NOWHERE,
        words: &["std::fs", "std::net", "std::os", "std::io::stdin", "File", "TcpStream"],
        instead: "the engine holds no descriptor: take bytes, return bytes",
    },
    Ban {
        folder: "src/engine/",
        except: NOWHERE,
        words: &["thread", "async", "await", "Mutex", "RwLock", "mpsc"],
        instead: "the engine is called, it does not run: return what is to happen next",
    },
    Ban {
        folder: "src/engine/",
        except: NOWHERE,
        words: &["tracing", "println!", "eprintln!", "print!", "eprint!"],
        instead: "the engine does not log: return an event or an error with typed fields",
    },
    Ban {
        folder: "src/engine/",
        except: NOWHERE,
        words: &["HashMap", "HashSet", "getrandom"],
        instead: "every output byte is determined by media and configuration: BTreeMap, BTreeSet",
    },
    Ban {
        folder: "src/units/",
        except: NOWHERE,
        words: &["Instant", "SystemTime", "tracing", "std::fs", "std::net", "thread", "async"],
        instead: "units are values only",
    },
    Ban {
        folder: "src/ring/",
        except: NOWHERE,
        words: &["std::net", "TcpStream", "socket2", "http", "hls", "dash", "m3u8", "tokio"],
        instead: "the ring knows records and extents: no socket, no protocol's name",
    },
    Ban {
        folder: "src/",
        except: "src/shard/rt/",
        words: &["monoio", "io_uring"],
        instead: "only src/shard/rt names the runtime: use what it exports",
    },
    Ban {
        folder: "src/",
        except: "src/control/",
        words: &["tokio", "axum"],
        instead: "tokio and axum belong to the control thread: src/control",
    },
];

/// Words that may not stand in code or literals of a folder.
const LITERAL_BANS: &[(&str, &[&str], &str)] = &[
    (
        "src/http/",
        &[
            "avc1", "hvc1", "hev1", "h264", "hevc", "aac", "mp4a", "mp4", "moof", "mdat", "m3u8",
            "mpd", "mpegts", "webvtt",
        ],
        "http carries plans: the content's names come from the engine with the plan",
    ),
    (
        "src/shard/",
        &[
            "#EXT",
            "ftyp",
            "styp",
            "moov",
            "moof",
            "mdat",
            "traf",
            "trun",
            "tfdt",
            "sidx",
            "emsg",
            "avc1",
            "hvc1",
            "mp4a",
            "SegmentTimeline",
        ],
        "shards move bytes: what they mean is the engine's",
    ),
];

/// Name parts that say nothing, with what to write.
const EMPTY_WORDS: &[(&str, &str)] = &[
    ("manager", "name what it owns or does"),
    ("util", "put the function with the type that it is about"),
    ("utils", "put the function with the type that it is about"),
    ("helper", "put the function with the type that it is about"),
    ("helpers", "put the function with the type that it is about"),
    ("common", "name what is shared"),
    ("misc", "name what it is"),
    ("stuff", "name what it is"),
];

/// Fails with all complaints at once, one a line.
fn hold(rule: &str, complaints: &[String]) {
    let mut text = String::new();
    for complaint in complaints {
        writeln!(text, "  {complaint}").expect("a String takes everything");
    }
    assert!(complaints.is_empty(), "{rule}:\n{text}");
}

fn place(source: &Source, offset: usize) -> String {
    format!("{}:{}", source.path, source.line(offset))
}

fn product_sources() -> Vec<Source> {
    sources(&["src"]).into_iter().filter(|source| !source.is_test()).collect()
}

fn all_sources() -> Vec<Source> {
    sources(&["src", "tests", "benches", "perf", "fuzz"])
}

fn layer(name: &str) -> Option<usize> {
    LAYERS.iter().position(|row| row.contains(&name))
}

#[test]
fn imports_point_down_the_layers() {
    let mut complaints = Vec::new();
    for source in product_sources() {
        let module = source.module();
        let Some(own) = module.first() else { continue };
        let Some(own_layer) = layer(own) else {
            complaints.push(format!("{}: `{own}` is in no layer: add it to LAYERS", source.path));
            continue;
        };
        for import in imports(&source) {
            let Some(target) = import.path.first().filter(|name| *name != own) else { continue };
            if layer(target).is_some_and(|target| target <= own_layer) {
                let at = place(&source, import.offset);
                complaints.push(format!(
                    "{at}: `{own}` may not import `{target}`: move what both need down, or hand \
                     it over as an argument"
                ));
            }
        }
    }
    hold("arrows point down: control, shard, http, ring, engine, units and limits", &complaints);
}

/// For every import the pair of siblings through which it goes: `engine::ts::pes` naming
/// `engine::codec::avc` is `engine::ts` → `engine::codec`.
fn sibling_edges(sources: &[Source]) -> BTreeMap<(String, String), String> {
    let modules: BTreeSet<Vec<String>> = sources.iter().map(Source::module).collect();
    let mut edges = BTreeMap::new();
    for source in sources {
        let from = source.module();
        for import in imports(source) {
            let to = &import.path;
            let shared = from.iter().zip(to).take_while(|(a, b)| a == b).count();
            // An ancestor, an item of one, or a child: not two siblings.
            let is_kin = shared == from.len() || shared == to.len();
            if is_kin || !modules.contains(&to[..=shared]) {
                continue;
            }
            let edge = (from[..=shared].join("::"), to[..=shared].join("::"));
            edges.entry(edge).or_insert_with(|| place(source, import.offset));
        }
    }
    edges
}

#[test]
fn no_two_modules_import_each_other() {
    let edges = sibling_edges(&product_sources());
    let mut complaints = Vec::new();
    for ((from, to), at) in &edges {
        if from < to
            && let Some(back) = edges.get(&(to.clone(), from.clone()))
        {
            complaints.push(format!(
                "{at} and {back}: `{from}` and `{to}` import each other: move what both need into \
                 a third module below them"
            ));
        }
    }
    hold("no two modules import each other", &complaints);
}

#[test]
fn a_mutual_import_is_seen() {
    let a = Source::new("src/engine/ts/pes.rs", "use crate::engine::codec::avc;");
    let b = Source::new("src/engine/codec/avc.rs", "use super::super::ts::pes::Pes;");
    let root = Source::new("src/engine/ts/mod.rs", "");
    let other = Source::new("src/engine/codec/mod.rs", "");
    let edges = sibling_edges(&[a, b, root, other]);
    let pairs: Vec<_> = edges.keys().map(|(a, b)| (a.as_str(), b.as_str())).collect();
    assert_eq!(pairs, [("engine::codec", "engine::ts"), ("engine::ts", "engine::codec")]);
}

#[test]
fn folders_keep_their_words() {
    let mut complaints = Vec::new();
    for source in product_sources() {
        let bans = BANS.iter().filter(|ban| {
            source.path.starts_with(ban.folder) && !source.path.starts_with(ban.except)
        });
        for (ban, word) in bans.flat_map(|ban| ban.words.iter().map(move |word| (ban, word))) {
            for offset in occurrences(&source.code, word) {
                let at = place(&source, offset);
                complaints.push(format!("{at}: `{word}`: {}", ban.instead));
            }
        }
        let bans = LITERAL_BANS.iter().filter(|(folder, ..)| source.path.starts_with(folder));
        for (word, instead) in bans.flat_map(|(_, words, why)| words.iter().map(move |w| (w, why)))
        {
            for offset in occurrences(&source.uncommented, word) {
                complaints.push(format!("{}: `{word}`: {instead}", place(&source, offset)));
            }
        }
    }
    hold("words that a folder must not contain", &complaints);
}

#[test]
fn unsafe_has_an_address() {
    let mut complaints = Vec::new();
    for source in sources(&["src"]) {
        if UNSAFE_ALLOWED.iter().any(|allowed| source.path.starts_with(allowed)) {
            continue;
        }
        for offset in occurrences(&source.code, "unsafe") {
            let at = place(&source, offset);
            complaints.push(format!("{at}: `unsafe` may stand in {UNSAFE_ALLOWED:?} only"));
        }
    }
    hold("unsafe code stands in the named files only", &complaints);
}

#[test]
fn files_and_lines_are_short() {
    let mut complaints = Vec::new();
    for source in all_sources() {
        let count = source.text.lines().count();
        if count > FILE_LINE_COUNT_MAX {
            complaints.push(format!(
                "{}: {count} lines of at most {FILE_LINE_COUNT_MAX}: split it by state or by type",
                source.path
            ));
        }
        for (index, line) in source.text.lines().enumerate() {
            let columns = line.chars().count();
            if columns > LINE_COLUMN_COUNT_MAX {
                complaints.push(format!("{}:{}: {columns} columns", source.path, index + 1));
            }
        }
    }
    hold("files of at most 800 lines, lines of at most 100 columns", &complaints);
}

/// Name, offset and line count of every function with a body.
fn functions(source: &Source) -> Vec<(String, usize, usize)> {
    let code = &source.code;
    let mut found = Vec::new();
    for offset in occurrences(code, "fn") {
        let name = identifier(code, (offset + "fn ".len()).min(code.len()));
        // `fn(u8)` is a type; a declaration ends in `;` before any brace.
        let Some(end) = code[offset..].find(['{', ';']).map(|end| offset + end) else { continue };
        if name.is_empty() || code.as_bytes()[end] == b';' && !code[offset..end].contains('[') {
            continue;
        }
        let Some(open) = code[offset..].find('{').map(|open| offset + open) else { continue };
        let Some(close) = closing_brace(code, open) else { continue };
        let count = source.line(close) - source.line(offset) + 1;
        found.push((name.to_owned(), offset, count));
    }
    found
}

#[test]
fn functions_are_short() {
    let mut complaints = Vec::new();
    for source in product_sources() {
        for (name, offset, count) in functions(&source) {
            if count > FUNCTION_LINE_COUNT_MAX {
                let at = place(&source, offset);
                complaints.push(format!("{at}: `{name}` has {count} lines: split it by step"));
            }
        }
    }
    hold("functions of at most 70 lines", &complaints);
}

#[test]
fn nothing_is_left_to_do() {
    // Spelt in two halves, so that this file passes.
    let words = [["TO", "DO"], ["FIX", "ME"], ["XX", "X"], ["dbg", "!("], ["todo", "!("]];
    let mut complaints = Vec::new();
    for source in all_sources() {
        for word in words.map(|halves| halves.concat()) {
            for offset in occurrences(&source.text, &word) {
                let at = place(&source, offset);
                complaints.push(format!("{at}: `{word}`: do it now, or say why it is not done"));
            }
        }
    }
    hold("no notes to oneself", &complaints);
}

#[test]
fn every_file_says_what_it_is_for() {
    let mut complaints = Vec::new();
    for source in all_sources() {
        if !source.text.starts_with("//! ") {
            complaints.push(format!("{}:1: begins without `//!` documentation", source.path));
        }
    }
    hold("every file begins with its documentation", &complaints);
}

/// `SegmentTable` and `segment_table` as `segment`, `table`.
fn words(name: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    for character in name.chars() {
        let starts = character == '_' || character.is_uppercase();
        if starts && words.last().is_some_and(|word| !word.is_empty()) {
            words.push(String::new());
        }
        if character != '_'
            && let Some(word) = words.last_mut()
        {
            word.extend(character.to_lowercase());
        }
    }
    words
}

#[test]
fn names_say_something() {
    const KEYWORDS: [&str; 7] = ["fn", "struct", "enum", "trait", "type", "mod", "const"];
    let mut complaints = Vec::new();
    for source in product_sources() {
        let defined = KEYWORDS.iter().flat_map(|keyword| {
            occurrences(&source.code, &format!("{keyword} "))
                .into_iter()
                .map(|offset| (*keyword, offset, offset + keyword.len() + 1))
        });
        for (keyword, offset, start) in defined {
            let name = identifier(&source.code, start);
            for word in words(name) {
                if let Some((_, instead)) = EMPTY_WORDS.iter().find(|(empty, _)| *empty == word) {
                    complaints.push(format!("{}: `{name}`: {instead}", place(&source, offset)));
                }
            }
            let verb = keyword == "fn"
                && ["get_", "process_", "handle_data"]
                    .iter()
                    .any(|prefix| name.starts_with(prefix));
            if verb {
                let at = place(&source, offset);
                complaints.push(format!("{at}: `{name}`: name what it returns or changes"));
            }
        }
    }
    hold("names are the field's words", &complaints);
}

#[test]
fn the_readme_names_commands_that_exist() {
    use std::os::unix::fs::PermissionsExt as _;
    let readme = std::fs::read_to_string(root().join("README.md")).expect("README.md is there");
    let mut complaints = Vec::new();
    for folder in ["scripts/", "perf/"] {
        for offset in occurrences(&readme, folder) {
            let rest = &readme[offset..];
            let is_end = |c: char| !c.is_ascii_alphanumeric() && !"/_-.".contains(c);
            let path = rest[..rest.find(is_end).unwrap_or(rest.len())].trim_end_matches('.');
            let runs = std::fs::metadata(root().join(path))
                .is_ok_and(|file| file.is_dir() || file.permissions().mode() & 0o111 != 0);
            if !runs {
                let line = readme[..offset].lines().count();
                complaints.push(format!("README.md:{line}: {path} is not there or not executable"));
            }
        }
    }
    hold("commands of the README", &complaints);
}
