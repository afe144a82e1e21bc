// The PrivateUse1 device: allocation, copies and views of its own, the CPU's kernels for the rest.
#include "host_device.h"

#include <ATen/ATen.h>
#include <ATen/EmptyTensor.h>
#include <ATen/native/CPUFallback.h>
#include <c10/core/Allocator.h>
#include <c10/core/impl/DeviceGuardImplInterface.h>
#include <torch/library.h>

#include <cstdlib>
#include <cstring>

namespace csp_test {
namespace {

constexpr c10::DeviceType device_type = c10::DeviceType::PrivateUse1;
const c10::Device device(device_type, 0);
const c10::DispatchKeySet key_set(c10::DispatchKey::PrivateUse1);

// ---- memory --------------------------------------------------------------------------------

// Which of the two allocate() and whether copy_data() overrides one of c10::Allocator depends on
// the version of LibTorch.
class HostAllocator final : public c10::Allocator {
public:
    c10::DataPtr allocate(std::size_t bytes) const {
        void *memory = bytes > 0 ? std::malloc(bytes) : nullptr;
        if (bytes > 0 && !memory) throw std::bad_alloc();
        return {memory, memory, std::free, device};
    }
    c10::DataPtr allocate(std::size_t bytes) { return static_cast<const HostAllocator *>(this)->allocate(bytes); }
    c10::DeleterFnPtr raw_deleter() const override { return std::free; }
    void copy_data(void *to, const void *from, std::size_t bytes) const { std::memcpy(to, from, bytes); }
};

HostAllocator allocator;

// ---- the device, of which there is one, with one stream ---------------------------------------

class HostGuard final : public c10::impl::DeviceGuardImplInterface {
public:
    c10::DeviceType type() const override { return device_type; }
    c10::Device exchangeDevice(c10::Device) const override { return device; }
    c10::Device getDevice() const override { return device; }
    void setDevice(c10::Device) const override {}
    void uncheckedSetDevice(c10::Device) const noexcept override {}
    c10::Stream getStream(c10::Device) const noexcept override { return stream(); }
    c10::Stream getDefaultStream(c10::Device) const override { return stream(); }
    c10::Stream exchangeStream(c10::Stream) const noexcept override { return stream(); }
    c10::DeviceIndex deviceCount() const noexcept override { return 1; }

private:
    static c10::Stream stream() { return c10::Stream(c10::Stream::DEFAULT, device); }
};

C10_REGISTER_GUARD_IMPL(PrivateUse1, HostGuard);

// ---- operators of its own ---------------------------------------------------------------------

at::Tensor empty(at::IntArrayRef size, c10::optional<at::ScalarType> dtype, c10::optional<at::Layout>,
                 c10::optional<at::Device>, c10::optional<bool>, c10::optional<at::MemoryFormat> format) {
    return at::detail::empty_generic(size, &allocator, key_set, dtype.value_or(at::kFloat), format);
}

at::Tensor empty_strided(at::IntArrayRef size, at::IntArrayRef stride, c10::optional<at::ScalarType> dtype,
                         c10::optional<at::Layout>, c10::optional<at::Device>, c10::optional<bool>) {
    return at::detail::empty_strided_generic(size, stride, &allocator, key_set, dtype.value_or(at::kFloat));
}

// The same memory as a tensor of the CPU.
at::Tensor on_cpu(const at::Tensor &tensor) {
    if (tensor.is_cpu()) return tensor;
    return at::from_blob(tensor.data_ptr(), tensor.sizes(), tensor.strides(), tensor.options().device(at::kCPU));
}

at::Tensor copy_from(const at::Tensor &from, const at::Tensor &to, bool) {
    on_cpu(to).copy_(on_cpu(from));
    return to;
}

// New memory where the size is another; what was there is lost.
const at::Tensor &resize_in_place(const at::Tensor &tensor, at::IntArrayRef size, c10::optional<at::MemoryFormat>) {
    if (tensor.sizes() == size) return tensor;
    tensor.unsafeGetTensorImpl()->set_storage_keep_dtype(at::empty(size, tensor.options()).storage());
    tensor.unsafeGetTensorImpl()->set_sizes_contiguous(size);
    return tensor;
}

at::Tensor copy_from_and_resize(const at::Tensor &from, const at::Tensor &to) {
    return copy_from(from, resize_in_place(to, from.sizes(), {}), false);
}

at::Tensor strided_view(const at::Tensor &tensor, at::IntArrayRef size, at::IntArrayRef stride,
                        c10::optional<int64_t> offset) {
    at::Tensor view = at::detail::make_tensor<c10::TensorImpl>(c10::TensorImpl::VIEW, c10::Storage(tensor.storage()),
                                                               tensor.key_set(), tensor.dtype());
    view.unsafeGetTensorImpl()->set_storage_offset(offset.value_or(tensor.storage_offset()));
    view.unsafeGetTensorImpl()->set_sizes_and_strides(size, stride);
    return view;
}

at::Tensor reshape_alias(const at::Tensor &tensor, at::IntArrayRef size, at::IntArrayRef stride) {
    return strided_view(tensor, size, stride, {});
}

// Of the strides that the same view has on the CPU.
at::Tensor view(const at::Tensor &tensor, at::IntArrayRef size) {
    const at::Tensor shape = at::empty_strided(tensor.sizes(), tensor.strides(), at::kByte).view(size);
    return strided_view(tensor, shape.sizes(), shape.strides(), {});
}

// ---- the CPU's kernels for all the others -----------------------------------------------------

bool left_behind(const at::Tensor &tensor) { return tensor.defined() && tensor.is_cpu() && tensor.dim() > 0; }

void compute_on_cpu(const c10::OperatorHandle &op, torch::jit::Stack *stack) {
    const std::size_t arguments = op.schema().arguments().size();
    for (auto argument = stack->end() - static_cast<std::ptrdiff_t>(arguments); argument != stack->end(); ++argument) {
        bool mixed = argument->isTensor() && left_behind(argument->toTensor());
        if (argument->isTensorList())
            for (const at::Tensor &tensor : argument->toTensorVector()) mixed = mixed || left_behind(tensor);
        TORCH_CHECK(!mixed, op.schema().name(), " meets a tensor that was left on the CPU");
    }
    at::native::cpu_fallback(op, stack);
}

TORCH_LIBRARY_IMPL(aten, PrivateUse1, m) {
    m.impl("empty.memory_format", empty);
    m.impl("empty_strided", empty_strided);
    m.impl("_copy_from", copy_from);
    m.impl("_copy_from_and_resize", copy_from_and_resize);
    m.impl("resize_", resize_in_place);
    m.impl("as_strided", strided_view);
    m.impl("_reshape_alias", reshape_alias);
    m.impl("view", view);
}

TORCH_LIBRARY_IMPL(_, PrivateUse1, m) { m.fallback(torch::CppFunction::makeFromBoxedFunction<&compute_on_cpu>()); }

}  // namespace

at::TensorOptions host_device() { return at::TensorOptions(device).dtype(at::kFloat); }

}  // namespace csp_test
