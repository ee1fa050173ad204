//! How far work on many rows is, on standard error when that is a terminal.

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use rhiz_domain::store::Progress;
use std::sync::Arc;

/// A bar, and what moves it. Nothing is seen of it while there are fewer than `worth_a_bar` rows:
/// they are over before it can be read. `style` is a template of `indicatif`.
pub fn of_rows(style: &str, worth_a_bar: u64) -> (ProgressBar, Progress) {
    let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
    bar.set_style(ProgressStyle::with_template(style).unwrap_or(ProgressStyle::default_bar()));
    let shown = bar.clone();
    let progress: Progress = Arc::new(move |done, total| {
        if total >= worth_a_bar {
            shown.set_length(total);
            shown.set_position(done);
        }
    });
    (bar, progress)
}
