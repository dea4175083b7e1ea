// Owners for objects of C libraries.
#pragma once

namespace lanekeeper {

// A deleter that calls the given function: std::unique_ptr<X509, DestroyWith<X509_free>>.
// Stateless, so the pointer stays pointer-sized.
template <auto Destroy>
struct DestroyWith {
  template <typename T>
  void operator()(T* object) const noexcept {
    Destroy(object);
  }
};

}  // namespace lanekeeper
