//! The manual page's example.

mod common;

#[test]
fn prints_what_the_manual_page_says() {
    let output = common::run_ok(&["example"]);
    let expected = "\
Starting...
Executing within a job
Passed in message is: Hello world!
Job was paused
Waiting for the job to be woken up
Resumed the job after a pause
Job finished with return value 1
Finishing
";
    assert_eq!(common::stdout(&output), expected);
    assert_eq!(common::stderr(&output), "");
}
