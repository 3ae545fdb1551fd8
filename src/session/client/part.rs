/// A part that a build may leave out: then there is none, whatever was given, and no image holds what would be done with
/// it.
#[derive(Debug)]
pub(super) struct Part<T, const BUILT: bool>(Option<T>);

impl<T, const BUILT: bool> Part<T, BUILT> {
    pub(super) const fn new(part: Option<T>) -> Self {
        Self(part)
    }

    pub(super) fn as_ref(&self) -> Option<&T> {
        self.0.as_ref().filter(|_| BUILT)
    }

    pub(super) fn as_mut(&mut self) -> Option<&mut T> {
        self.0.as_mut().filter(|_| BUILT)
    }

    pub(super) fn is_some(&self) -> bool {
        self.as_ref().is_some()
    }
}
