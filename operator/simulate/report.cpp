#include "operator/simulate/report.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>

namespace lanekeeper::simulate {
namespace {

std::string Escaped(const std::string& text) {
  std::string escaped;
  for (const char c : text) {
    if (c == '<') {
      escaped += "&lt;";
    } else if (c == '&') {
      escaped += "&amp;";
    } else {
      escaped += c;
    }
  }
  return escaped;
}

// A field of CSV, quoted where it must be.
std::string Field(const std::string& text) {
  if (text.find_first_of(",\"\n") == std::string::npos) return text;
  std::string quoted = "\"";
  for (const char c : text) quoted += c == '"' ? std::string("\"\"") : std::string(1, c);
  return quoted + "\"";
}

constexpr double kLeft = 60;
constexpr double kWidth = 1000;
constexpr double kHeight = 220;
constexpr double kPanelHeight = 290;
constexpr const char* kColors[] = {"#1261a0", "#d1495b", "#edae49",
                                   "#66a182", "#7b4fa0", "#444444"};

struct Scale {
  double seconds;
  double count;
  double X(double at) const { return kLeft + kWidth * at / seconds; }
  double Y(double value, double top) const { return top + kHeight * (1 - value / count); }
};

Scale ScaleOf(const Panel& panel) {
  Scale scale{1, 1};
  for (std::size_t i = 0; i < panel.curves.size(); ++i) {
    for (const Moment& moment : panel.curves[i].course) {
      scale.seconds = std::max(scale.seconds, moment.seconds);
      scale.count = std::max(scale.count, static_cast<double>(moment.workers));
      if (i == 0) scale.count = std::max(scale.count, static_cast<double>(moment.backlog));
    }
  }
  return scale;
}

// Steps: what was seen holds until something else is seen.
template <typename Value>
std::string Steps(const std::vector<Moment>& course, const Scale& scale, double top, Value value) {
  std::string points;
  double last = 0;
  for (std::size_t i = 0; i < course.size(); ++i) {
    const double x = scale.X(course[i].seconds);
    const double y = scale.Y(value(course[i]), top);
    if (i > 0 && y != last) fmt::format_to(std::back_inserter(points), "{:.1f},{:.1f} ", x, last);
    if (i == 0 || y != last || i + 1 == course.size()) {
      fmt::format_to(std::back_inserter(points), "{:.1f},{:.1f} ", x, y);
    }
    last = y;
  }
  return points;
}

void DrawAxes(std::string& svg, const Scale& scale, double top) {
  const double bottom = top + kHeight;
  for (int i = 0; i <= 4; ++i) {
    const double y = bottom - kHeight * i / 4;
    fmt::format_to(std::back_inserter(svg),
                   "<line x1=\"{0}\" x2=\"{1}\" y1=\"{2:.1f}\" y2=\"{2:.1f}\" stroke=\"#ddd\"/>"
                   "<text x=\"{3}\" y=\"{4:.1f}\" text-anchor=\"end\">{5:.0f}</text>\n",
                   kLeft, kLeft + kWidth, y, kLeft - 6, y + 4, scale.count * i / 4);
  }
  const bool hours = scale.seconds > 3 * 3600;
  for (int i = 0; i <= 6; ++i) {
    const double seconds = scale.seconds * i / 6;
    fmt::format_to(std::back_inserter(svg),
                   "<text x=\"{:.1f}\" y=\"{:.1f}\" text-anchor=\"middle\">{:.1f} {}</text>\n",
                   scale.X(seconds), bottom + 16, hours ? seconds / 3600 : seconds / 60,
                   hours ? "h" : "min");
  }
}

void DrawPanel(std::string& svg, const Panel& panel, double top) {
  const Scale scale = ScaleOf(panel);
  fmt::format_to(std::back_inserter(svg),
                 "<text x=\"{}\" y=\"{:.1f}\" font-weight=\"bold\">{}</text>\n", kLeft, top - 10,
                 Escaped(panel.lane));
  DrawAxes(svg, scale, top);
  double legend = kLeft + 200;
  const auto name = [&](const char* color, const std::string& text) {
    fmt::format_to(std::back_inserter(svg),
                   "<rect x=\"{:.1f}\" y=\"{:.1f}\" width=\"12\" height=\"12\" fill=\"{}\"/>"
                   "<text x=\"{:.1f}\" y=\"{:.1f}\">{}</text>\n",
                   legend, top - 20, color, legend + 16, top - 10, Escaped(text));
    legend += 32 + 7.0 * static_cast<double>(text.size());
  };
  for (std::size_t i = 0; i < panel.curves.size(); ++i) {
    const Curve& curve = panel.curves[i];
    if (curve.course.empty()) continue;
    if (i == 0) {
      fmt::format_to(
          std::back_inserter(svg),
          "<polygon fill=\"#d9d9d9\" points=\"{0:.1f},{1:.1f} {2}{3:.1f},{1:.1f}\"/>\n", kLeft,
          scale.Y(0, top),
          Steps(curve.course, scale, top,
                [](const Moment& moment) { return static_cast<double>(moment.backlog); }),
          scale.X(curve.course.back().seconds));
      name("#d9d9d9", "backlog (" + curve.policy + ")");
    }
    const char* color = kColors[i % std::size(kColors)];
    fmt::format_to(std::back_inserter(svg),
                   "<polyline fill=\"none\" stroke=\"{}\" stroke-width=\"1.2\" points=\"{}\"/>\n",
                   color, Steps(curve.course, scale, top, [](const Moment& moment) {
                     return static_cast<double>(moment.workers);
                   }));
    name(color, "workers: " + curve.policy);
  }
}

}  // namespace

ReportRow::Work WorkOf(const LaneOutcome& lane) {
  return {.worker_seconds = lane.worker_seconds,
          .cold_starts = lane.cold_starts,
          .reversals = lane.reversals,
          .kills = lane.kills,
          .unfinished = lane.unfinished};
}

std::string WriteTable(const std::vector<ReportRow>& rows) {
  std::size_t policy_width = 6;
  std::size_t lane_width = 4;
  for (const ReportRow& row : rows) {
    policy_width = std::max(policy_width, row.policy.size());
    lane_width = std::max(lane_width, row.lane.size());
  }
  std::string table =
      fmt::format("{:<{}}  {:<{}}  {:>8}  {:>9} {:>9} {:>9} {:>10}  {:>14}  {:>11}  {:>9}  {:>6}\n",
                  "policy", policy_width, "lane", lane_width, "jobs", "p50 s", "p95 s", "p99 s",
                  "max s", "worker-seconds", "cold starts", "reversals", "kills");
  for (const ReportRow& row : rows) {
    fmt::format_to(std::back_inserter(table),
                   "{:<{}}  {:<{}}  {:>8}  {:>9.1f} {:>9.1f} {:>9.1f} {:>10.1f}", row.policy,
                   policy_width, row.lane, lane_width, row.waits.jobs, row.waits.p50, row.waits.p95,
                   row.waits.p99, row.waits.max);
    if (row.work) {
      fmt::format_to(std::back_inserter(table), "  {:>14.0f}  {:>11}  {:>9}  {:>6}",
                     row.work->worker_seconds, row.work->cold_starts, row.work->reversals,
                     row.work->kills);
      if (row.work->unfinished > 0) {
        fmt::format_to(std::back_inserter(table), "  {} jobs never ended", row.work->unfinished);
      }
    }
    table += '\n';
  }
  return table;
}

std::string WriteCsv(const std::vector<ReportRow>& rows) {
  std::string csv =
      "policy,lane,jobs,wait_p50_seconds,wait_p95_seconds,wait_p99_seconds,wait_max_seconds,"
      "worker_seconds,cold_starts,reversals,kills,unfinished\n";
  for (const ReportRow& row : rows) {
    fmt::format_to(std::back_inserter(csv), "{},{},{},{:.3f},{:.3f},{:.3f},{:.3f},",
                   Field(row.policy), Field(row.lane), row.waits.jobs, row.waits.p50, row.waits.p95,
                   row.waits.p99, row.waits.max);
    if (row.work) {
      fmt::format_to(std::back_inserter(csv), "{:.1f},{},{},{},{}\n", row.work->worker_seconds,
                     row.work->cold_starts, row.work->reversals, row.work->kills,
                     row.work->unfinished);
    } else {
      csv += ",,,,\n";
    }
  }
  return csv;
}

std::string WriteSvg(const std::vector<Panel>& panels) {
  const double height = kPanelHeight * static_cast<double>(panels.size()) + 10;
  std::string svg = fmt::format(
      "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {0:.0f} {1:.0f}\" width=\"{0:.0f}\" "
      "height=\"{1:.0f}\" font-family=\"sans-serif\" font-size=\"12\">\n"
      "<rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n",
      kLeft + kWidth + 40, height);
  for (std::size_t i = 0; i < panels.size(); ++i) {
    DrawPanel(svg, panels[i], 40 + kPanelHeight * static_cast<double>(i));
  }
  return svg + "</svg>\n";
}

}  // namespace lanekeeper::simulate
