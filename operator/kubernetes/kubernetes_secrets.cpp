#include "operator/kubernetes/kubernetes_secrets.h"

#include <utility>

#include "operator/kubernetes/base64.h"
#include "operator/kubernetes/json_access.h"
#include "operator/kubernetes/requests.h"

namespace lanekeeper::kubernetes {

Result<SecretValues> KubernetesSecrets::Read(const std::string& secret_namespace,
                                             const std::string& name) {
  Result<Answer> answer = api_.Call(GetRequest(kSecrets, {secret_namespace, name}));
  if (!answer) return tl::unexpected<Error>(std::move(answer).error());
  const nlohmann::json secret = ParseJson(answer->body);
  if (!secret.is_object()) return Fail(ErrorKind::kInvalid, "the answer is no Secret");
  SecretValues values;
  const nlohmann::json* data = At(secret, {"data"});
  if (data == nullptr || !data->is_object()) return values;
  for (const auto& [key, value] : data->items()) {
    if (!value.is_string()) continue;
    if (auto decoded = DecodeBase64Lines(value.get_ref<const std::string&>())) {
      values.emplace(key, *std::move(decoded));
    }
  }
  return values;
}

}  // namespace lanekeeper::kubernetes
