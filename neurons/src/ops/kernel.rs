//! The bridge between plain slice functions and Candle's custom operations: a kernel is a function of contiguous
//! slices, generic over the float type, with an optional backward pass in terms of tensors.

use candle_core::backend::{BackendDevice, BackendStorage};
use candle_core::{
    CpuStorage, CudaStorage, CustomOp1, CustomOp2, CustomOp3, Error, Layout, Result, Shape, Tensor, bail,
};

use crate::Real;

/// A contiguous tensor's values and shape.
#[derive(Clone, Copy)]
pub(super) struct View<'a, T> {
    pub(super) data: &'a [T],
    pub(super) shape: &'a Shape,
}

impl<T> View<'_, T> {
    /// (batch, time, channels)
    pub(super) fn sequence(&self) -> Result<(usize, usize, usize)> {
        self.shape.dims3()
    }

    /// (product of all dimensions but the last, last dimension)
    pub(super) fn rows(&self) -> Result<(usize, usize)> {
        match self.shape.dims().split_last() {
            Some((&last, rest)) => Ok((rest.iter().product(), last)),
            None => bail!("expected at least one dimension"),
        }
    }
}

fn view<'a, T: Real>(storage: &'a CpuStorage, layout: &'a Layout) -> Result<View<'a, T>> {
    let data = T::cpu_storage_as_slice(storage)?;
    match layout.contiguous_offsets() {
        Some((start, end)) => Ok(View { data: &data[start..end], shape: layout.shape() }),
        None => Err(Error::RequiresContiguous { op: "kernel" }.bt()),
    }
}

/// Brings the result of a kernel that ran on the CPU to the device of its argument.
fn to_device((result, shape): (CpuStorage, Shape), argument: &CudaStorage) -> Result<(CudaStorage, Shape)> {
    Ok((argument.device().storage_from_cpu_storage_owned(result)?, shape))
}

/// Runs `$run::<T>` with the float type of the storage.
macro_rules! by_float_type {
    ($storage:expr, $name:expr, $run:ident) => {
        match $storage {
            CpuStorage::F32(_) => $run!(f32),
            CpuStorage::F64(_) => $run!(f64),
            other => bail!("{}: f32 or f64 only, not {:?}", $name, other.dtype()),
        }
    };
}

macro_rules! kernel {
    ($kernel:ident, $op:ident, $differentiable:ident, $forward_only:ident, $apply:ident, $apply_no_backward:ident,
     ($first:ident $(, $rest:ident)*), $grads:ty) => {
        /// A function of contiguous slices with an optional backward pass.
        pub(super) trait $kernel {
            const NAME: &'static str;

            fn run<T: Real>(&self, $first: View<'_, T> $(, $rest: View<'_, T>)*) -> Result<(Vec<T>, Shape)>;

            fn backward(&self, _: &Tensor $(, _: kernel!(@tensor $rest))*, _result: &Tensor, _grad: &Tensor) -> Result<$grads> {
                Err(Error::BackwardNotSupported { op: Self::NAME }.bt())
            }
        }

        /// Applies a kernel as a node of the gradient graph.
        pub(super) fn $differentiable<K>(kernel: K, $first: &Tensor $(, $rest: &Tensor)*) -> Result<Tensor>
        where
            K: $kernel + Send + Sync + 'static,
        {
            $first.contiguous()?.$apply($(&$rest.contiguous()?,)* Op(kernel))
        }

        kernel!(@forward_only $kernel, $forward_only, $apply_no_backward, ($first $(, $rest)*));
    };
    (@tensor $rest:ident) => { &Tensor };
    (@forward_only $kernel:ident, $forward_only:ident, $apply:ident, ($first:ident $(, $rest:ident)*)) => {
        /// Applies a kernel outside any gradient graph.
        pub(super) fn $forward_only<K: $kernel>(kernel: K, $first: &Tensor $(, $rest: &Tensor)*) -> Result<Tensor> {
            $first.contiguous()?.$apply($(&$rest.contiguous()?,)* &Op(kernel))
        }
    };
}

struct Op<K>(K);

kernel!(Kernel1, CustomOp1, differentiable1, forward_only1, apply_op1, apply_op1_no_bwd, (a), Option<Tensor>);
kernel!(
    Kernel2,
    CustomOp2,
    differentiable2,
    forward_only2,
    apply_op2,
    apply_op2_no_bwd,
    (a, b),
    (Option<Tensor>, Option<Tensor>)
);
kernel!(
    Kernel3,
    CustomOp3,
    differentiable3,
    forward_only3,
    apply_op3,
    apply_op3_no_bwd,
    (a, b, c),
    (Option<Tensor>, Option<Tensor>, Option<Tensor>)
);

impl<K: Kernel1> CustomOp1 for Op<K> {
    fn name(&self) -> &'static str {
        K::NAME
    }

    fn cpu_fwd(&self, s1: &CpuStorage, l1: &Layout) -> Result<(CpuStorage, Shape)> {
        macro_rules! run {
            ($t:ty) => {{
                let (data, shape) = self.0.run::<$t>(view(s1, l1)?)?;
                Ok((<$t as candle_core::WithDType>::to_cpu_storage_owned(data), shape))
            }};
        }
        by_float_type!(s1, K::NAME, run)
    }

    fn cuda_fwd(&self, s1: &CudaStorage, l1: &Layout) -> Result<(CudaStorage, Shape)> {
        to_device(self.cpu_fwd(&s1.to_cpu_storage()?, l1)?, s1)
    }

    fn bwd(&self, a: &Tensor, result: &Tensor, grad: &Tensor) -> Result<Option<Tensor>> {
        self.0.backward(a, result, grad)
    }
}

impl<K: Kernel2> CustomOp2 for Op<K> {
    fn name(&self) -> &'static str {
        K::NAME
    }

    fn cpu_fwd(&self, s1: &CpuStorage, l1: &Layout, s2: &CpuStorage, l2: &Layout) -> Result<(CpuStorage, Shape)> {
        macro_rules! run {
            ($t:ty) => {{
                let (data, shape) = self.0.run::<$t>(view(s1, l1)?, view(s2, l2)?)?;
                Ok((<$t as candle_core::WithDType>::to_cpu_storage_owned(data), shape))
            }};
        }
        by_float_type!(s1, K::NAME, run)
    }

    fn cuda_fwd(&self, s1: &CudaStorage, l1: &Layout, s2: &CudaStorage, l2: &Layout) -> Result<(CudaStorage, Shape)> {
        to_device(self.cpu_fwd(&s1.to_cpu_storage()?, l1, &s2.to_cpu_storage()?, l2)?, s1)
    }

    fn bwd(&self, a: &Tensor, b: &Tensor, result: &Tensor, grad: &Tensor) -> Result<(Option<Tensor>, Option<Tensor>)> {
        self.0.backward(a, b, result, grad)
    }
}

impl<K: Kernel3> CustomOp3 for Op<K> {
    fn name(&self) -> &'static str {
        K::NAME
    }

    fn cpu_fwd(
        &self,
        s1: &CpuStorage,
        l1: &Layout,
        s2: &CpuStorage,
        l2: &Layout,
        s3: &CpuStorage,
        l3: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        macro_rules! run {
            ($t:ty) => {{
                let (data, shape) = self.0.run::<$t>(view(s1, l1)?, view(s2, l2)?, view(s3, l3)?)?;
                Ok((<$t as candle_core::WithDType>::to_cpu_storage_owned(data), shape))
            }};
        }
        by_float_type!(s1, K::NAME, run)
    }

    fn cuda_fwd(
        &self,
        s1: &CudaStorage,
        l1: &Layout,
        s2: &CudaStorage,
        l2: &Layout,
        s3: &CudaStorage,
        l3: &Layout,
    ) -> Result<(CudaStorage, Shape)> {
        let (c1, c2, c3) = (s1.to_cpu_storage()?, s2.to_cpu_storage()?, s3.to_cpu_storage()?);
        to_device(self.cpu_fwd(&c1, l1, &c2, l2, &c3, l3)?, s1)
    }

    fn bwd(
        &self,
        a: &Tensor,
        b: &Tensor,
        c: &Tensor,
        result: &Tensor,
        grad: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        self.0.backward(a, b, c, result, grad)
    }
}
