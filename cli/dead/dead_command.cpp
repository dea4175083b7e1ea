#include "cli/dead/dead_command.h"

#include <iostream>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>

#include "cli/command/output.h"
#include "cli/dead/change_many.h"
#include "cli/dead/dead_text.h"
#include "cli/dead/nothing_found.h"
#include "cli/remote/lane_paths.h"
#include "cli/remote/remote.h"
#include "worker-runtime/base/percent_encode.h"
#include "worker-runtime/base/text.h"

namespace lanekeeper::dead {
namespace {

using cli::Exit;
using nlohmann::json;

constexpr const char* kExamples = R"(Examples:
  lanekeeper dead                          # of the only pool there is; short for `dead list`
  lanekeeper dead list media --lane gpu --limit 200
  lanekeeper dead groups media             # alike ones together, the most first
  lanekeeper dead show media 17
  lanekeeper dead replay media --group 5d1f0c2a9b7e4416 --rate 100
  lanekeeper dead discard media 17 18 --yes)";
constexpr const char* kListExamples = R"(Examples:
  lanekeeper dead list media
  lanekeeper dead list media --lane gpu --reason rejected -o wide)";
constexpr const char* kShowExamples = R"(Examples:
  lanekeeper dead show media 17
  lanekeeper dead show media LK_studio_media_gpu.3.k3x9qa2b
  lanekeeper dead show media 17 --payload > payload.bin)";
constexpr const char* kReplayExamples =
    R"(Each goes to the end of the lane it died in, with its attempts counted anew.
Examples:
  lanekeeper dead replay media 17 18
  lanekeeper dead replay media --group 5d1f0c2a9b7e4416
  lanekeeper dead replay media --all --rate 100 --to-lane slow)";
constexpr const char* kDiscardExamples = R"(They are gone for good.
Examples:
  lanekeeper dead discard media 17
  lanekeeper dead discard media --group 5d1f0c2a9b7e4416 --yes)";

struct Flags {
  cli::TargetFlags target;
  cli::Format format = cli::Format::kTable;
  std::string pool;
  std::string lane;
  std::string type;
  std::string reason;
  std::string group;
  int limit = 50;
  std::string letter;
  bool payload = false;
};

std::string QueryOf(const Flags& flags) {
  std::string query;
  for (const auto& [name, value] : {std::pair("lane", &flags.lane),
                                    {"type", &flags.type},
                                    {"reason", &flags.reason},
                                    {"fingerprint", &flags.group}}) {
    if (!value->empty()) query += std::string("&") + name + "=" + PercentEncode(*value);
  }
  return query;
}

ClientResult<void> CheckFound(cli::Remote& remote, const cli::LaneName& pool, const Flags& flags,
                              const json& found) {
  if (!found.empty()) return {};
  return RefuseUnknown(remote, pool, flags.lane, flags.group);
}

Exit RunList(const Flags& flags) {
  auto remote = cli::FindRemote(flags.target);
  if (!remote) return cli::Refuse(remote.error());
  const auto name = (*remote)->Resolve(flags.pool, /*with_lane=*/false);
  if (!name) return cli::Refuse(name.error());
  const auto list = (*remote)->Get(cli::PoolPath(*name) +
                                   "/dead?limit=" + std::to_string(flags.limit) + QueryOf(flags));
  if (!list) return cli::Refuse(list.error());
  const json letters = list->value("dead_letters", json::array());
  if (const auto known = CheckFound(**remote, *name, flags, letters); !known) {
    return cli::Refuse(known.error());
  }
  cli::PrintItems(std::cout, flags.format, letters, LetterColumns(), "No dead letters.");
  if (list->contains("next")) cli::Complain("there are more; see --limit and `dead groups`");
  return Exit::kOk;
}

Exit RunGroups(const Flags& flags) {
  auto remote = cli::FindRemote(flags.target);
  if (!remote) return cli::Refuse(remote.error());
  const auto name = (*remote)->Resolve(flags.pool, /*with_lane=*/false);
  if (!name) return cli::Refuse(name.error());
  std::string query = QueryOf(flags);
  if (!query.empty()) query.front() = '?';
  const auto groups = (*remote)->Get(cli::PoolPath(*name) + "/dead/groups" + query);
  if (!groups) return cli::Refuse(groups.error());
  const json found = groups->value("groups", json::array());
  const auto rest = groups->value("rest", std::int64_t{0});
  if (const auto known = CheckFound(**remote, *name, flags, found); !known && rest == 0) {
    return cli::Refuse(known.error());
  }
  cli::PrintItems(std::cout, flags.format, found, GroupColumns(), "No dead letters.");
  if (rest > 0) {
    cli::Complain(std::to_string(rest) + " more dead letters are in groups that are not shown");
  }
  return Exit::kOk;
}

Exit RunShow(const Flags& flags) {
  auto remote = cli::FindRemote(flags.target);
  if (!remote) return cli::Refuse(remote.error());
  const auto name = (*remote)->Resolve(flags.pool, /*with_lane=*/false);
  if (!name) return cli::Refuse(name.error());
  const std::string path = cli::PoolPath(*name);
  const auto sequence = FindLetter(**remote, path, flags.letter);
  if (!sequence) return cli::Refuse(sequence.error());
  const auto letter = (*remote)->Get(path + "/dead/" + std::to_string(*sequence) +
                                     (flags.payload ? "?payload=true" : ""));
  if (!letter) return cli::Refuse(letter.error());
  const bool text = flags.format == cli::Format::kTable || flags.format == cli::Format::kWide;
  if (!flags.payload || !text) {
    cli::PrintOne(std::cout, flags.format, *letter, LetterFields(*letter));
    return Exit::kOk;
  }
  // Its bytes and nothing else: for a file or a pipe.
  const auto payload = DecodeBase64(letter->value("payload_base64", ""));
  if (!payload) {
    cli::Complain("the gateway's payload is no base64");
    return Exit::kFailed;
  }
  std::cout << *payload << std::flush;
  return Exit::kOk;
}

void AddFilterFlags(CLI::App& command, Flags& flags) {
  command.add_option("--lane", flags.lane, "that died in it")->type_name("LANE");
  command.add_option("--type", flags.type, "of the job")->type_name("TYPE");
  command.add_option("--reason", flags.reason, "rejected, attempts-used-up, …")->type_name("WORD");
  command.add_option("--group", flags.group, "as `dead groups` shows it")->type_name("FINGERPRINT");
}

void AddListFlags(CLI::App& command, Flags& flags) {
  command.add_option("pool", flags.pool, "POOL or NAMESPACE/POOL");
  command.add_option("--limit", flags.limit, "the newest so many [50]")
      ->check(CLI::Range(1, 500))
      ->type_name("N");
  AddFilterFlags(command, flags);
  cli::AddOutputFlag(command, flags.format);
  cli::AddTargetFlags(command, flags.target);
}

void AddChangeFlags(CLI::App& command, ChangeFlags& flags) {
  command.add_option("pool", flags.pool, "POOL or NAMESPACE/POOL")->required();
  command.add_option("letters", flags.letters, "sequences, or ids of jobs")->type_name("SEQ|ID");
  command.add_option("--group", flags.group, "all of a group")->type_name("FINGERPRINT");
  command.add_flag("--all", flags.all, "all of the pool");
  command.add_option("--lane", flags.lane, "with --all and --group: that died in it")
      ->type_name("LANE");
  cli::AddOutputFlag(command, flags.format);
  cli::AddTargetFlags(command, flags.target);
}

void AddChangeCommands(CLI::App& dead, const cli::Commands& commands) {
  const auto replayed = std::make_shared<ChangeFlags>();
  CLI::App* replay = dead.add_subcommand("replay", "Sends dead letters again");
  replay->footer(kReplayExamples);
  AddChangeFlags(*replay, *replayed);
  replay->add_option("--rate", replayed->per_second, "at most so many a second [no limit]")
      ->check(CLI::Range(0.001, 100'000.0))
      ->type_name("N");
  replay->add_option("--to-lane", replayed->to_lane, "instead of where each died")
      ->type_name("LANE");
  replay->callback(
      [replayed, commands] { commands.run = [replayed] { return RunReplay(*replayed); }; });

  const auto discarded = std::make_shared<ChangeFlags>();
  CLI::App* discard = dead.add_subcommand("discard", "Removes dead letters for good");
  discard->footer(kDiscardExamples);
  AddChangeFlags(*discard, *discarded);
  discard->add_flag("--yes", discarded->yes, "needed for more than one");
  discard->callback(
      [discarded, commands] { commands.run = [discarded] { return RunDiscard(*discarded); }; });
}

}  // namespace

void AddDeadCommands(cli::Commands commands) {
  const auto flags = std::make_shared<Flags>();
  CLI::App* dead = commands.app.add_subcommand(
      "dead", "Shows jobs that died; groups, replays and discards them");
  dead->footer(kExamples);
  AddListFlags(*dead, *flags);
  CLI::App* list = dead->add_subcommand("list", "Lists them, the newest first");
  list->footer(kListExamples);
  AddListFlags(*list, *flags);
  list->callback([flags, commands] { commands.run = [flags] { return RunList(*flags); }; });

  CLI::App* groups = dead->add_subcommand("groups", "Counts dead letters that died alike");
  groups->add_option("pool", flags->pool, "POOL or NAMESPACE/POOL");
  groups->footer("Example:\n  lanekeeper dead groups media --lane gpu");
  AddFilterFlags(*groups, *flags);
  cli::AddOutputFlag(*groups, flags->format);
  cli::AddTargetFlags(*groups, flags->target);
  groups->callback([flags, commands] { commands.run = [flags] { return RunGroups(*flags); }; });

  CLI::App* show = dead->add_subcommand("show", "Shows one with everything known, or its payload");
  show->footer(kShowExamples);
  show->add_option("pool", flags->pool, "POOL or NAMESPACE/POOL")->required();
  show->add_option("letter", flags->letter, "its sequence, or the id of its job")
      ->required()
      ->type_name("SEQ|ID");
  show->add_flag("--payload", flags->payload, "its bytes alone; with -o json, beside the rest");
  cli::AddOutputFlag(*show, flags->format);
  cli::AddTargetFlags(*show, flags->target);
  show->callback([flags, commands] { commands.run = [flags] { return RunShow(*flags); }; });

  AddChangeCommands(*dead, commands);
  // Called after that of its subcommand.
  dead->callback([flags, commands, dead] {
    if (dead->get_subcommands().empty()) commands.run = [flags] { return RunList(*flags); };
  });
}

}  // namespace lanekeeper::dead
