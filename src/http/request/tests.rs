//! Tests of request heads: what is understood, what is refused and with which status.

use super::*;
use crate::limits::{
    HEADER_FIELD_SIZE_MAX, QUERY_SIZE_MAX, REQUEST_HEAD_SIZE_MAX, REQUEST_LINE_SIZE_MAX,
};
use proptest::prelude::*;

fn parse(text: &str) -> Result<RequestHead, HeadError> {
    let (head, used) = parse_head(text.as_bytes())?.expect("a complete head");
    assert_eq!(used, text.find("\r\n\r\n").unwrap() + 4);
    Ok(head)
}

fn with_fields(fields: &str) -> Result<RequestHead, HeadError> {
    parse(&format!("PUT /in/a HTTP/1.1\r\nHost: h\r\n{fields}\r\n"))
}

#[test]
fn encoder_head_as_ffmpeg_sends_it() {
    let head = parse(
        "PUT /in/v2/demo/1/channel_1.m3u8 HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\
         User-Agent: Lavf/59.27.100\r\nAccept: */*\r\nExpect: 100-continue\r\n\
         Connection: close\r\nHost: 127.0.0.1:8080\r\nIcy-MetaData: 1\r\n\r\n",
    )
    .unwrap();
    assert_eq!(head.method, Method::Put);
    assert_eq!(head.path, "/in/v2/demo/1/channel_1.m3u8");
    assert_eq!((head.framing, head.expect_continue), (Framing::Chunked, true));
    assert!(!head.keep_alive);
    assert_eq!(head.host.as_deref(), Some("127.0.0.1:8080"));
    assert_eq!(head.user_agent.as_deref(), Some("Lavf/59.27.100"));
}

#[test]
fn framing_that_two_readers_could_read_apart_is_refused() {
    let refused: &[(&str, u16)] = &[
        ("Content-Length: 3\r\nTransfer-Encoding: chunked\r\n", 400),
        ("Transfer-Encoding: chunked\r\nContent-Length: 3\r\n", 400),
        ("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", 400),
        ("Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n", 400),
        ("Transfer-Encoding: chunked, chunked\r\n", 400),
        ("Transfer-Encoding: , chunked\r\n", 400),
        ("Transfer-Encoding: chunked, identity\r\n", 400),
        ("Transfer-Encoding: identity\r\n", 400),
        ("Transfer-Encoding: xchunked\r\n", 400),
        ("Transfer-Encoding: \"chunked\"\r\n", 400),
        ("Transfer-Encoding: chunked;a=b\r\n", 400),
        ("Transfer-Encoding:\x0bchunked\r\n", 400),
        ("Transfer-Encoding:\r\n", 400),
        ("Transfer-Encoding: gzip, chunked\r\n", 501),
        ("Content-Length: 3\r\nContent-Length: 3\r\n", 400),
        ("Content-Length: 3\r\ncontent-length: 4\r\n", 400),
        ("Content-Length: 3, 3\r\n", 400),
        ("Content-Length: +3\r\n", 400),
        ("Content-Length: -3\r\n", 400),
        ("Content-Length: 0x3\r\n", 400),
        ("Content-Length: 3 3\r\n", 400),
        ("Content-Length: 3a\r\n", 400),
        ("Content-Length: 1_0\r\n", 400),
        ("Content-Length:\r\n", 400),
        ("Content-Length: 18446744073709551616\r\n", 400),
        ("Content-Length : 3\r\n", 400),
        ("Content-Length\t: 3\r\n", 400),
        ("Content-Length: 3\n", 400),
        ("Content-Length: 3\r", 400),
        ("Content-Length: 3\r\n 4\r\n", 400),
        (" Content-Length: 3\r\n", 400),
        ("X: a\r\n\tb\r\n", 400),
        ("X: a\0b\r\n", 400),
        ("X: a\rb\r\n", 400),
        ("X: a\nContent-Length: 3\r\n", 400),
        ("X\0: a\r\n", 400),
        (": a\r\n", 400),
        ("no colon\r\n", 400),
        ("Host: h\r\n", 400),
        ("Expect: 200-ok\r\n", 417),
        ("Authorization: a\r\nAuthorization: b\r\n", 400),
    ];
    for (fields, status) in refused {
        let error = with_fields(fields).expect_err(fields);
        assert_eq!(error.status(), *status, "{fields:?}: {error}");
    }
}

#[test]
fn framing_that_is_certain_is_accepted() {
    let accepted = [
        ("", Framing::None),
        ("Content-Length: 0\r\n", Framing::Length(0)),
        ("content-length:\t18446744073709551615 \r\n", Framing::Length(u64::MAX)),
        ("TRANSFER-ENCODING: Chunked\r\n", Framing::Chunked),
    ];
    for (fields, framing) in accepted {
        assert_eq!(with_fields(fields).unwrap().framing, framing, "{fields:?}");
    }
}

#[test]
fn transfer_encoding_is_unknown_to_http_10() {
    let text = "PUT / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n";
    assert_eq!(parse(text), Err(HeadError::ConflictingFraming));
}

#[test]
fn request_lines() {
    let cases: &[(&str, Option<u16>)] = &[
        ("GET / HTTP/1.1", None),
        ("GET / HTTP/1.0", None),
        ("GET / HTTP/1.9", None),
        ("OPTIONS * HTTP/1.1", None),
        ("CONNECT h HTTP/1.1", None),
        ("TRACE / HTTP/1.1", None),
        ("GET * HTTP/1.1", Some(400)),
        ("GET  / HTTP/1.1", Some(400)),
        ("GET / HTTP/1.1 ", Some(400)),
        (" GET / HTTP/1.1", Some(400)),
        ("GET\t/\tHTTP/1.1", Some(400)),
        ("GET /", Some(400)),
        ("GET / http/1.1", Some(400)),
        ("GET / HTTP/1.10", Some(400)),
        ("GET / HTTP/11", Some(400)),
        ("GET / HTTP/2.0", Some(505)),
        ("GET / HTTP/0.9", Some(505)),
        ("PRI * HTTP/2.0", Some(505)),
        ("get / HTTP/1.1", None),
        ("BREW / HTTP/1.1", None),
        ("G@T / HTTP/1.1", Some(400)),
        ("GET a HTTP/1.1", Some(400)),
        ("GET ftp://h/ HTTP/1.1", Some(400)),
        ("GET /a#b HTTP/1.1", Some(400)),
        ("GET /\u{e9} HTTP/1.1", Some(400)),
        ("GET http://h/a HTTP/1.1", None),
        ("GET HTTP://H/a HTTP/1.1", None),
        ("GET http://other/a HTTP/1.1", Some(400)),
        ("GET http://user@h/a HTTP/1.1", Some(400)),
    ];
    for (line, status) in cases {
        let result = parse(&format!("{line}\r\nHost: h\r\n\r\n"));
        assert_eq!(result.as_ref().err().map(HeadError::status), *status, "{line:?}: {result:?}");
    }
}

#[test]
fn a_second_request_smuggled_into_a_line_never_parses() {
    assert_eq!(
        parse_head(b"GET / HTTP/1.1\nHost: h\n\n").unwrap_err().status(),
        400,
        "refused before any CRLF comes"
    );
    assert_eq!(parse_head(b"\r\n\r\nGET /").unwrap_err(), HeadError::RequestLine);
    let (head, used) = parse_head(b"\r\nGET / HTTP/1.1\r\nHost: h\r\n\r\nGET").unwrap().unwrap();
    assert_eq!((head.path.as_str(), used), ("/", 29));
}

#[test]
fn hosts() {
    let host = |version: &str, fields: &str| {
        parse(&format!("GET http://h:1/ HTTP/{version}\r\n{fields}\r\n")).map(|head| head.host)
    };
    assert_eq!(host("1.1", ""), Err(HeadError::Host));
    assert_eq!(host("1.1", "Host: H:1\r\n"), Ok(Some("H:1".to_owned())));
    assert_eq!(host("1.1", "Host: h\r\n"), Err(HeadError::HostMismatch));
    assert_eq!(host("1.0", ""), Ok(Some("h:1".to_owned())));
    for value in ["a b", "h/p", "u@h", "h\\", "h?"] {
        let text = format!("GET / HTTP/1.1\r\nHost: {value}\r\n\r\n");
        assert_eq!(parse(&text), Err(HeadError::Host), "{value:?}");
    }
    assert_eq!(parse("GET / HTTP/1.1\r\nHost:\r\n\r\n").unwrap().host.as_deref(), Some(""));
}

#[test]
fn ambiguous_paths_are_refused() {
    let refused = [
        "/../x",
        "/a/..",
        "/a/../b",
        "/./a",
        "/a/.",
        "//",
        "//a",
        "/a//b",
        "/a//",
        "/%2e%2e/x",
        "/%2E%2e/x",
        "/.%2e/x",
        "/a/%2e",
        "/%252e%252e/x",
        "/%2525",
        "/a%2fb",
        "/a%2Fb",
        "/a%5cb",
        "/a\\b",
        "/..\\x",
        "/a%00b",
        "/%00",
        "/a%0d%0ab",
        "/a%7f",
        "/%c0%ae%c0%ae/x",
        "/%c0%af",
        "/%e0%80%af",
        "/%f0%80%80%af",
        "/%ff",
        "/%",
        "/%2",
        "/%zz",
        "/%u002e",
        "/% 2e",
    ];
    for path in refused {
        let result = parse(&format!("GET {path} HTTP/1.1\r\nHost: h\r\n\r\n"));
        assert_eq!(result.as_ref().err().map(HeadError::status), Some(400), "{path} {result:?}");
    }
}

#[test]
fn paths_are_decoded_once_and_queries_not_at_all() {
    let cases = [
        ("/", "/", None),
        ("/a/", "/a/", None),
        ("/a%20b/%C3%A9.ts", "/a b/\u{e9}.ts", None),
        ("/a?", "/a", Some("")),
        ("/a?b=%2e%2e/..//&c=?", "/a", Some("b=%2e%2e/..//&c=?")),
        ("/...", "/...", None),
        ("http://h", "/", None),
        ("http://h/a?b", "/a", Some("b")),
    ];
    for (target, path, query) in cases {
        let head = parse(&format!("GET {target} HTTP/1.1\r\nHost: h\r\n\r\n")).unwrap();
        assert_eq!((head.path.as_str(), head.query.as_deref()), (path, query));
        assert_eq!(head.target, target);
    }
}

#[test]
fn persistence_by_version_and_field() {
    let cases = [
        ("1.1", "", true),
        ("1.1", "Connection: close\r\n", false),
        ("1.1", "Connection: x, Close\r\n", false),
        ("1.1", "Connection: x\r\nConnection: close\r\n", false),
        ("1.0", "", false),
        ("1.0", "Connection: Keep-Alive\r\n", true),
        ("1.0", "Connection: keep-alive, close\r\n", false),
    ];
    for (version, fields, keep_alive) in cases {
        let text = format!("GET / HTTP/{version}\r\nHost: h\r\n{fields}\r\n");
        assert_eq!(parse(&text).unwrap().keep_alive, keep_alive, "{version} {fields:?}");
    }
}

#[test]
fn gzip_is_taken_only_where_it_is_allowed() {
    let cases = [
        ("gzip", true),
        ("deflate, GZIP;q=0.5", true),
        ("x-gzip", true),
        ("*", true),
        ("gzip;q=0", false),
        ("gzip; q=0.000, *", false),
        ("*;q=0", false),
        ("identity", false),
        ("", false),
        ("gzipped", false),
    ];
    for (codings, gzip) in cases {
        let head = with_fields(&format!("Accept-Encoding: {codings}\r\n")).unwrap();
        assert_eq!(head.accept_encoding_gzip, gzip, "{codings:?}");
    }
}

#[test]
fn bounds_are_exact() {
    let line = |size: usize| {
        let path = "a".repeat(size - "GET / HTTP/1.1".len());
        parse(&format!("GET /{path} HTTP/1.1\r\nHost: h\r\n\r\n")).map(|_| ())
    };
    assert_eq!(line(REQUEST_LINE_SIZE_MAX), Ok(()));
    assert_eq!(line(REQUEST_LINE_SIZE_MAX + 1).unwrap_err().status(), 414);

    let field = |size: usize| with_fields(&format!("X: {}\r\n", "a".repeat(size - 3))).map(|_| ());
    assert_eq!(field(HEADER_FIELD_SIZE_MAX), Ok(()));
    assert_eq!(field(HEADER_FIELD_SIZE_MAX + 1).unwrap_err().status(), 431);

    let count = |count: usize| with_fields(&"X: a\r\n".repeat(count - 1)).map(|_| ());
    assert_eq!(count(HEADER_COUNT_MAX), Ok(()));
    assert_eq!(count(HEADER_COUNT_MAX + 1).unwrap_err().status(), 431);

    let long = format!("X: {}\r\n", "a".repeat(HEADER_FIELD_SIZE_MAX - 5));
    let total = with_fields(&long.repeat(REQUEST_HEAD_SIZE_MAX / long.len() + 1));
    assert_eq!(total, Err(HeadError::HeadTooLong { limit: REQUEST_HEAD_SIZE_MAX }));

    let query = |size: usize| {
        parse(&format!("GET /?{} HTTP/1.1\r\nHost: h\r\n\r\n", "q".repeat(size))).map(|_| ())
    };
    assert_eq!(query(QUERY_SIZE_MAX), Ok(()));
    assert_eq!(query(QUERY_SIZE_MAX + 1).unwrap_err().status(), 400);
}

#[test]
fn an_endless_head_is_refused_before_it_ends() {
    let endless = |byte: u8| parse_head(&vec![byte; REQUEST_HEAD_SIZE_MAX + 1]);
    assert_eq!(endless(b'a').unwrap_err().status(), 414);
    let mut fields = b"GET / HTTP/1.1\r\n".to_vec();
    fields.resize(REQUEST_HEAD_SIZE_MAX * 2, b'a');
    assert_eq!(parse_head(&fields).unwrap_err().status(), 431);
}

/// Feeds growing prefixes, as reads would, until the parser decides.
fn parse_grown(input: &[u8], cuts: &[usize]) -> Result<Option<(RequestHead, usize)>, HeadError> {
    for cut in cuts {
        match parse_head(&input[..cut % (input.len() + 1)]) {
            Ok(None) => {}
            decided => return decided,
        }
    }
    parse_head(input)
}

/// Lines that are nearly right, so that combinations reach every branch.
fn arbitrary_head() -> impl Strategy<Value = Vec<u8>> {
    let pieces = prop::sample::select(vec![
        "GET / HTTP/1.1",
        "PUT http://h/%2e HTTP/1.1",
        "PUT /a?b HTTP/1.0",
        "GET /%C3%A9 HTTP/1.1",
        "Host: h",
        "Content-Length: 5",
        "Transfer-Encoding: chunked",
        "Expect: 100-continue",
        "\r\n",
        "\r\n",
        "\r\n",
        "\r\n",
        "\r\n\r\n",
        "\n",
        "\r",
        "\0",
        " ",
        ":",
        "\t",
        "X: y",
        "\u{ff}",
    ]);
    prop::collection::vec(pieces, 0..24).prop_map(|pieces| pieces.concat().into_bytes())
}

proptest! {
    #[test]
    fn heads_are_judged_the_same_however_they_are_cut(
        input in prop_oneof![arbitrary_head(), prop::collection::vec(any::<u8>(), 0..512)],
        mut cuts in prop::collection::vec(any::<usize>(), 0..6),
    ) {
        cuts.sort_by_key(|cut| cut % (input.len() + 1));
        let whole = parse_head(&input);
        prop_assert_eq!(&parse_grown(&input, &cuts), &whole);
        if let Ok(Some((head, used))) = whole {
            prop_assert!(used <= input.len());
            prop_assert!(!head.path.contains("//") && !head.path.contains('\0'));
            prop_assert!(head.path.split('/').all(|segment| segment != ".."));
        }
    }
}
