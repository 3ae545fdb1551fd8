//! Registers in memory.

/// One register of `T`, by its address.
pub(super) struct Register<T>(*mut T);

impl<T: Copy> Register<T> {
    /// # Safety
    ///
    /// At `address` is a register of that width, and to read and to write it as its owner does breaks no memory safety.
    pub(super) const unsafe fn at(address: usize) -> Self {
        Self(address as *mut T)
    }

    pub(super) fn read(&self) -> T {
        // SAFETY: `at` was promised a register.
        unsafe { self.0.read_volatile() }
    }

    pub(super) fn write(&self, value: T) {
        // SAFETY: `at` was promised a register.
        unsafe { self.0.write_volatile(value) }
    }
}
