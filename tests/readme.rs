//! What the README says of the configuration is what the program reads.

use headwater::control::config::keys;

#[test]
fn the_configuration_reference_is_the_key_table() {
    let readme = include_str!("../README.md");
    for row in keys::reference().lines() {
        assert!(
            readme.lines().any(|line| line == row),
            "README.md lacks this row of its configuration reference:\n{row}"
        );
    }
}
