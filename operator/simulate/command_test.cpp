#include "operator/simulate/command.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <sstream>

namespace lanekeeper::simulate {
namespace {

using testing::HasSubstr;

constexpr const char* kPool = R"(
apiVersion: v1
kind: Namespace
metadata: {name: studio}
---
apiVersion: lanekeeper.dev/v1alpha1
kind: WorkerPool
metadata: {name: media, namespace: studio}
spec:
  template:
    spec:
      containers:
      - {name: worker, image: "example.com/worker:1"}
  lanes:
  - {name: short, class: Long, workers: {max: 5}, scaling: {targetWait: 1s}}
  - {name: long, class: Long, workers: {max: 3}}
)";

class CommandTest : public testing::Test {
 protected:
  void SetUp() override {
    Write("pool.yaml", kPool);
    Write("trace.csv", "arrival_seconds,service_seconds,type\n1,5,a\n2,4000,b\n3,5,a\n4,5,a\n");
    options_.pool_file = Path("pool.yaml");
    options_.trace_file = Path("trace.csv");
  }
  static std::string Path(const std::string& name) {
    return testing::TempDir() + "lanekeeper_simulate_" + name;
  }
  static void Write(const std::string& name, const std::string& text) {
    std::ofstream(Path(name)) << text;
  }
  static std::string Read(const std::string& name) {
    std::ifstream stream(Path(name));
    return {std::istreambuf_iterator<char>(stream), {}};
  }
  std::string Refused() {
    std::ostringstream out;
    const Result<void> result = RunSimulate(options_, out);
    return result ? "not refused" : result.error().message;
  }

  SimulateOptions options_;
};

TEST_F(CommandTest, WritesTableCsvAndPlot) {
  options_.splits = {"1h=long"};
  options_.shared = "short";
  options_.csv_file = Path("out.csv");
  options_.svg_file = Path("out.svg");
  std::ostringstream out;
  const Result<void> result = RunSimulate(options_, out);
  ASSERT_TRUE(result) << result.error().message;
  EXPECT_THAT(out.str(), HasSubstr("shared: jobs of long"));
  EXPECT_THAT(Read("out.csv"), HasSubstr("lanekeeper,short,3,"));
  EXPECT_THAT(Read("out.csv"), HasSubstr("lanekeeper,long,1,"));
  EXPECT_THAT(Read("out.svg"), HasSubstr("</svg>"));
}

TEST_F(CommandTest, NamesTheOptionThatIsWrong) {
  options_.routes = {"a=nowhere"};
  EXPECT_EQ(Refused(), "--route: the pool has no lane \"nowhere\"; it has short, long");
  options_.routes = {"nothing"};
  EXPECT_THAT(Refused(), HasSubstr("--route: \"nothing\" is not of the form"));
  options_.routes.clear();
  options_.splits = {"soon=long"};
  EXPECT_THAT(Refused(), HasSubstr("--split soon=long"));
  options_.splits.clear();
  options_.policies = {"guess"};
  EXPECT_THAT(Refused(), HasSubstr("--policy: no policy is called \"guess\""));
  options_.policies = {"lanekeeper"};
  options_.format = "xml";
  EXPECT_THAT(Refused(), HasSubstr("--format"));
  options_.format = "plain";
  options_.trace_file = Path("missing.csv");
  EXPECT_THAT(Refused(), HasSubstr("cannot read"));
  Write("bad.csv", "arrival_seconds,service_seconds\n1,x\n");
  options_.trace_file = Path("bad.csv");
  EXPECT_THAT(Refused(), HasSubstr("bad.csv: line 2"));
  options_.trace_file = Path("trace.csv");
  options_.csv_file = "/nonexistent/out.csv";
  EXPECT_THAT(Refused(), HasSubstr("--csv: cannot write"));
}

}  // namespace
}  // namespace lanekeeper::simulate
