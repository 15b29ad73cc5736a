extension OptionTable {
    /// What `--generate` prints.
    public func generated(_ text: GeneratedText) -> String {
        switch text {
        case .bash: bashCompletion()
        case .zsh: zshCompletion()
        case .fish: fishCompletion()
        case .sample: sampleConfiguration()
        case .markdown: referenceTable()
        }
    }

    private var function: String { "_" + String(program.map { $0 == "-" ? "_" : $0 }) }

    private var verbNames: [String] { verbs.map(\.name) + ["help", "version"] }

    /// Every flag with the words that can follow it: `nil` for none, empty for a file or free text.
    private var flagWords: [(flag: String, summary: String, words: [String]?, isPath: Bool)] {
        var rows: [(flag: String, summary: String, words: [String]?, isPath: Bool)] = []
        for option in options {
            var words: [String] = []
            if case .choice(let choices) = option.kind { words = choices }
            if option.kind == .boolean { words = ["yes", "no"] }
            for flag in [option.flag, option.aliasFlag].compactMap({ $0 }) {
                rows.append((flag, option.summary, words, option.kind == .path))
            }
        }
        for asked in switches {
            let words = asked == .generate ? GeneratedText.allCases.map(\.rawValue) : asked == .config ? [] : nil
            rows.append((asked.rawValue, asked.summary, words, asked == .config))
        }
        return rows
    }

    private func bashCompletion() -> String {
        var text = "# bash completion for \(program)\n\(function)() {\n"
        text += "    local current=\"${COMP_WORDS[COMP_CWORD]}\" previous=\"${COMP_WORDS[COMP_CWORD-1]}\"\n"
        text += "    case \"$previous\" in\n"
        for row in flagWords {
            guard let words = row.words else { continue }
            let action =
                row.isPath
                ? "compgen -f -- \"$current\"" : "compgen -W '\(words.joined(separator: " "))' -- \"$current\""
            text += "        \(row.flag)) COMPREPLY=($(\(action))); return ;;\n"
        }
        text += "    esac\n"
        let all = verbNames + flagWords.map(\.flag)
        text += "    COMPREPLY=($(compgen -W '\(all.joined(separator: " "))' -- \"$current\"))\n}\n"
        text += "complete -F \(function) \(program)\n"
        return text
    }

    private func zshCompletion() -> String {
        var text = "#compdef \(program)\n\n_arguments -s \\\n"
        for row in flagWords {
            var specification = "\(row.flag)[\(escaped(row.summary))]"
            if let words = row.words {
                specification += row.isPath ? ":path:_files" : ":value:(\(words.joined(separator: " ")))"
            }
            text += "    '\(specification)' \\\n"
        }
        text += "    '1:command:(\(verbNames.joined(separator: " ")))' \\\n    '*:operand:_files'\n"
        return text
    }

    private func fishCompletion() -> String {
        var text = "# fish completion for \(program)\n"
        for name in verbNames { text += "complete -c \(program) -n __fish_use_subcommand -a \(name)\n" }
        for row in flagWords {
            text += "complete -c \(program) -l \(row.flag.dropFirst(2)) -d '\(escaped(row.summary))'"
            if let words = row.words {
                text += row.isPath ? " -r -F" : " -x"
                if !words.isEmpty { text += " -a '\(words.joined(separator: " "))'" }
            }
            text += "\n"
        }
        return text
    }

    /// Without the characters that mean something inside single quotes or brackets of a completion script.
    private func escaped(_ text: String) -> String { String(text.filter { !"'[]\\:".contains($0) }) }
}
