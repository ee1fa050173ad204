//! What needs Linux, and is not tried elsewhere.

#[test]
#[expect(clippy::print_stderr, reason = "what was not checked is said")]
fn power_cuts_and_failing_disks_are_tried_on_linux_only() {
    eprintln!(
        "NOT CHECKED: power cuts, full and failing disks: the disk of these tests is a library \
               for Linux (tests/powercut/powercut.c)"
    );
}
