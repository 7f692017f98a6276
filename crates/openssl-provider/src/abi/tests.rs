//! Each number and each record, compared with OpenSSL's headers by the system's compiler.

use std::fmt::Write as _;
use std::mem::offset_of;
use std::process::{Command, Output, Stdio};

use super::*;

fn compile(text: &str) -> std::io::Result<Output> {
    use std::io::Write as _;
    let mut cc = Command::new("cc")
        .args(["-std=gnu11", "-fsyntax-only", "-x", "c", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    if let Some(mut stdin) = cc.stdin.take() {
        stdin.write_all(text.as_bytes())?;
    }
    cc.wait_with_output()
}

const HEADERS: &str = "#include <stddef.h>\n#include <openssl/core.h>\n#include <openssl/core_dispatch.h>\n\
                       #include <openssl/params.h>\n";

/// Says that the test skips, if it cannot be done here.
fn can_compile() -> bool {
    let found = compile(HEADERS).is_ok_and(|output| output.status.success());
    if !found {
        println!("skipped: cc or OpenSSL's headers (openssl/core_dispatch.h) are not installed");
    }
    found
}

/// What C calls the numbers of a module, before their names, and the numbers.
const NUMBERS: [(&str, &[(&str, c_int)]); 10] = [
    ("OSSL_OP_", operation::ALL),
    ("OSSL_FUNC_", core::ALL),
    ("OSSL_FUNC_", provider::ALL),
    ("OSSL_FUNC_DIGEST_", digest::ALL),
    ("OSSL_FUNC_CIPHER_", cipher::ALL),
    ("OSSL_FUNC_MAC_", mac::ALL),
    ("OSSL_FUNC_KEYMGMT_", keymgmt::ALL),
    ("OSSL_FUNC_KEYEXCH_", keyexch::ALL),
    ("OSSL_FUNC_SIGNATURE_", signature::ALL),
    ("OSSL_FUNC_ASYM_CIPHER_", asym_cipher::ALL),
];

/// Assertions of C's, one a line.
fn assertions() -> String {
    let mut text = HEADERS.to_owned();
    let mut add = |left: &str, right: usize| {
        let _ = writeln!(text, "_Static_assert({left} == {right}, \"{left}\");");
    };
    for (prefix, numbers) in NUMBERS {
        for (name, number) in numbers {
            add(&format!("{prefix}{name}"), *number as usize);
        }
    }
    add("OSSL_PARAM_INTEGER", PARAM_INTEGER as usize);
    add("OSSL_PARAM_UTF8_PTR", PARAM_UTF8_PTR as usize);
    add("OSSL_PARAM_UNMODIFIED", PARAM_UNMODIFIED);
    macro_rules! record {
        ($c:literal, $ours:ty: $($c_field:literal = $field:ident),*) => {
            add(concat!("sizeof(", $c, ")"), size_of::<$ours>());
            add(concat!("_Alignof(", $c, ")"), align_of::<$ours>());
            $(add(concat!("offsetof(", $c, ", ", $c_field, ")"), offset_of!($ours, $field));)*
        };
    }
    record!("OSSL_DISPATCH", Dispatch: "function_id" = id, "function" = function);
    record!("OSSL_ALGORITHM", Algorithm: "algorithm_names" = names, "property_definition" = properties,
        "implementation" = functions, "algorithm_description" = description);
    record!("OSSL_PARAM", Param: "key" = key, "data_type" = data_type, "data" = data,
        "data_size" = data_size, "return_size" = return_size);
    text
}

#[test]
fn numbers_and_records_are_those_of_the_headers() {
    if !can_compile() {
        return;
    }
    let output = compile(&assertions()).expect("it could be run before");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
}

/// The compiler does look.
#[test]
fn a_number_that_is_not_the_headers_is_found() {
    if !can_compile() {
        return;
    }
    let wrong = assertions().replacen(
        "OSSL_FUNC_DIGEST_FREECTX == 6",
        "OSSL_FUNC_DIGEST_FREECTX == 7",
        1,
    );
    let output = compile(&wrong).expect("it could be run before");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(
        !output.status.success() && errors.contains("OSSL_FUNC_DIGEST_FREECTX"),
        "{errors}"
    );
}
