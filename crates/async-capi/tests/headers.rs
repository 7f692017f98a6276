//! The headers in `include/` are what cbindgen makes of the sources.

mod common;

use std::io::Write;
use std::process::{Command, Stdio};

/// A header, how cbindgen writes it, and the sources with what is declared in it.
struct Header {
    path: &'static str,
    config: &'static str,
    sources: &'static [&'static str],
}

const HEADERS: [Header; 2] = [
    Header {
        path: "include/openssl/async.h",
        config: "tests/header/async.toml",
        sources: &["src/abi.rs", "src/jobs.rs", "src/wait_ctx.rs"],
    },
    Header {
        path: "include/async_capi.h",
        config: "tests/header/async_capi.toml",
        sources: &["src/extra.rs"],
    },
];

fn generate(header: &Header) -> String {
    let config = cbindgen::Config::from_file(common::root().join(header.config))
        .expect("the configuration can be read");
    let mut builder = cbindgen::Builder::new().with_config(config);
    for source in header.sources {
        builder = builder.with_src(common::root().join(source));
    }
    let mut text = Vec::new();
    builder
        .generate()
        .expect("cbindgen understands the sources")
        .write(&mut text);
    for_c(&String::from_utf8(text).expect("a header is text"))
}

/// Leaves out what only Rust's readers need: the sections on safety, whose conditions are ordinary ones in C, and
/// the marks of code and links. Old C has no comments after `//`.
fn for_c(text: &str) -> String {
    let mut out = String::new();
    let mut skipping = false;
    for line in text.lines() {
        skipping = match line.trim() {
            "* # Safety" => {
                // The empty line before it.
                out.truncate(out.trim_end_matches(" *\n").len());
                true
            }
            "*/" => false,
            _ => skipping,
        };
        if !skipping {
            let line = line.replace("[`", "").replace("`]", "").replace('`', "");
            match line.split_once(" // ") {
                Some((before, after)) => out += &format!("{} /* {after} */\n", before.trim_end()),
                None => out += &format!("{line}\n"),
            }
        }
    }
    out
}

#[test]
fn what_rust_alone_needs_is_left_out() {
    let made = for_c(
        "/**\n * See [`other`], `x`.\n *\n * # Safety\n *\n * Hm.\n */\nint x;\n#endif  // y\n",
    );
    assert_eq!(made, "/**\n * See other, x.\n */\nint x;\n#endif /* y */\n");
}

#[test]
fn the_headers_are_what_the_sources_say() {
    for header in &HEADERS {
        let made = generate(header);
        let path = common::root().join(header.path);
        if std::env::var_os("WRITE_HEADERS").is_some() {
            std::fs::create_dir_all(path.parent().expect("in a directory")).expect("can be made");
            std::fs::write(&path, &made).expect("it can be written");
        }
        let kept = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(
            kept == made,
            "{} is not what the sources say; write it with\n    \
             WRITE_HEADERS=1 cargo test -p async-capi --test headers the_headers",
            header.path
        );
    }
}

/// The languages in which each header must compile.
const LANGUAGES: [(&str, &str); 4] = [
    ("cc", "-std=c90"),
    ("cc", "-std=c99"),
    ("cc", "-std=c11"),
    ("c++", "-std=c++11"),
];

/// Compiles `source` with every warning an error; `Err` is what the compiler said.
fn compile(compiler: &str, standard: &str, source: &str) -> Result<(), String> {
    let language = match compiler {
        "cc" => "-xc",
        _ => "-xc++",
    };
    let mut child = Command::new(compiler)
        .args([
            standard,
            "-Wall",
            "-Wextra",
            "-pedantic",
            "-Werror",
            "-fsyntax-only",
        ])
        .arg("-I")
        .arg(common::root().join("include"))
        .args([language, "-"])
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("it is installed");
    child
        .stdin
        .take()
        .expect("a pipe")
        .write_all(source.as_bytes())
        .expect("the compiler reads it");
    let output = child.wait_with_output().expect("it ends");
    match output.status.success() {
        true => Ok(()),
        false => Err(common::stderr(&output)),
    }
}

/// Compiles in every language of which there is a compiler.
fn compile_all(source: &str) {
    for (compiler, standard) in LANGUAGES {
        if common::has(compiler)
            && let Err(said) = compile(compiler, standard, source)
        {
            panic!("{compiler} {standard}:\n{source}\n{said}");
        }
    }
}

/// Where OpenSSL's own header is, if it is installed. Ours is found before it, so tests name it by its path.
fn openssls_header() -> Option<String> {
    let directories = [
        "/usr/include",
        "/usr/local/include",
        "/opt/homebrew/include",
    ];
    let found = directories
        .iter()
        .map(|directory| format!("{directory}/openssl/async.h"))
        .find(|path| std::path::Path::new(path).exists());
    if found.is_none() {
        println!("skipped: OpenSSL's headers are not installed");
    }
    found
}

#[test]
fn each_compiles_alone_and_twice() {
    for header in ["openssl/async.h", "async_capi.h"] {
        compile_all(&format!(
            "#include <{header}>\n#include <{header}>\nint x;\n"
        ));
    }
}

/// What a C compiler does not see: that a C++ program links with the functions.
#[test]
fn the_functions_are_c_in_cpp() {
    if !common::has("c++") {
        return;
    }
    for header in ["openssl/async.h", "async_capi.h"] {
        let name = match header {
            "async_capi.h" => "const char *async_capi_version(void)",
            _ => "int ASYNC_pause_job(void)",
        };
        let source = format!("#include <{header}>\nextern \"C\" {{ {name}; }}\n");
        compile("c++", "-std=c++11", &source).expect("C linkage is what the header says");
    }
}

/// In either order, and with the headers of OpenSSL that include theirs.
#[test]
fn they_go_with_openssls_headers() {
    let Some(theirs) = openssls_header() else {
        return;
    };
    let theirs = format!("#include \"{theirs}\"\n");
    let others = "#include <openssl/crypto.h>\n#include <openssl/err.h>\n\
                  #include <openssl/asyncerr.h>\n#include <openssl/ssl.h>\n";
    let ours = "#include <openssl/async.h>\n#include <async_capi.h>\n";
    for order in [
        [theirs.as_str(), others, ours],
        [ours, others, theirs.as_str()],
        [others, ours, theirs.as_str()],
        [others, theirs.as_str(), ours],
    ] {
        let source = order.concat() + "ASYNC_WAIT_CTX *ctx;\nint reason = ASYNC_R_INIT_FAILED;\n";
        for (compiler, standard) in &LANGUAGES[1..] {
            if common::has(compiler)
                && let Err(said) = compile(compiler, standard, &source)
            {
                panic!("{compiler} {standard}:\n{source}\n{said}");
            }
        }
    }
}

/// The declarations of a header, without its guard and what it includes, so that it can stand beside another that
/// declares the same.
fn body(header: &Header) -> String {
    let text = std::fs::read_to_string(common::root().join(header.path)).expect("it is there");
    text.lines()
        .filter(|line| !line.starts_with("#include"))
        .filter(|line| !line.contains("OPENSSL_ASYNC_H"))
        .map(|line| format!("{line}\n"))
        .collect()
}

/// Each type, number and function is OpenSSL's: a compiler refuses a second declaration that differs.
#[test]
fn openssls_header_declares_the_same() {
    let Some(theirs) = openssls_header() else {
        return;
    };
    let beside = |ours: &str| {
        let source = format!("#include \"{theirs}\"\n{ours}");
        // C99 has no second typedef of one name.
        compile("cc", "-std=c11", &source)
    };
    let ours = body(&HEADERS[0]);
    if let Err(said) = beside(&ours) {
        panic!("OpenSSL's header says otherwise:\n{said}");
    }
    // It would have noticed.
    for (right, wrong) in [
        ("#define ASYNC_PAUSE 2", "#define ASYNC_PAUSE 3"),
        ("void ASYNC_block_pause", "int ASYNC_block_pause"),
        ("(*func)(void *args)", "(*func)(const void *args)"),
        ("typedef struct async_job_st", "typedef struct other_st"),
        (
            "#define OSSL_BAD_ASYNC_FD -1",
            "#define OSSL_BAD_ASYNC_FD 0",
        ),
    ] {
        assert!(ours.contains(right), "{right}");
        beside(&ours.replace(right, wrong)).expect_err(wrong);
    }
}

/// The functions that a header declares.
fn declared(header: &Header) -> Vec<String> {
    let text = std::fs::read_to_string(common::root().join(header.path)).expect("it is there");
    let mut names: Vec<String> = text
        .lines()
        .filter(|line| !line.starts_with([' ', '/', '#', '*', '}']) && !line.starts_with("typedef"))
        .filter_map(|line| line.split_once('('))
        .filter_map(|(before, _)| before.rsplit([' ', '*']).next())
        .map(String::from)
        .collect();
    names.sort();
    names
}

#[test]
fn all_functions_are_declared() {
    assert_eq!(declared(&HEADERS[0]).len(), 22);
    assert!(
        declared(&HEADERS[1])
            .iter()
            .all(|name| name.starts_with("async_capi_"))
    );
}

/// All that is declared, and nothing else, which could stand in the way of a program's own.
#[test]
fn the_shared_library_exports_what_the_headers_declare() {
    if !common::has("nm") {
        return;
    }
    let listed = common::succeed(
        Command::new("nm")
            .args(["-D", "--defined-only", "--format=posix"])
            .arg(common::shared_library()),
    );
    let mut exported: Vec<String> = common::stdout(&listed)
        .lines()
        .filter_map(|line| line.split(' ').next())
        .map(String::from)
        .collect();
    exported.sort();
    let mut all: Vec<String> = HEADERS.iter().flat_map(declared).collect();
    all.sort();
    assert_eq!(exported, all);
}
