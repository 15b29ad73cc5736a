import CordwoodBase
import CordwoodIO
import CordwoodNode
import CordwoodRESP
import CordwoodRaft

/// CORDWOOD.VERIFY, CORDWOOD.REPAIR and CORDWOOD.JOB: looking for damage, mending it, and what came of looking.
extension Dispatcher {
    func verify(_ request: Request, on connection: ClientConnection) throws(CommandError) {
        var arguments = ArgumentCursor(request)
        var partition: PartitionID?
        var member: Membership.Member?
        if arguments.take("PARTITION") { partition = try events.partition(&arguments) }
        _ = arguments.take("DEEP")
        if arguments.take("AGAINST") { member = try known(try arguments.next("a node")) }
        try arguments.end(expected: "PARTITION or AGAINST")
        let number = server.jobs.begin(words(of: request))
        let server = server
        server.seams.scheduler.spawn("job \(number)") {
            let report = await server.node.verify(partition, against: member?.replica)
            server.jobs.end(number, report)
        }
        connection.output.simple("\(number)" as String)
    }

    func repair(_ request: Request, on connection: ClientConnection) throws(CommandError) {
        var arguments = ArgumentCursor(request)
        let partition = try events.partition(&arguments)
        let first = try arguments.number("an index")
        let last = try arguments.number("an index")
        guard first > 0, first <= last else {
            throw CommandError(.invalidArgument, "records \(first) to \(last): the first is 1, and not behind the last")
        }
        var member: Membership.Member?
        if arguments.take("FROM") { member = try known(try arguments.next("a node")) }
        guard server.node.membership.members.count > 1 else {
            throw CommandError(.invalidArgument, "there is no other node to repair from")
        }
        let effect =
            "makes the log of partition \(partition) anew from what is intact here and what other nodes hold, by the "
            + "partition chain; its records \(first) to \(last) are verified with it"
        guard try isConfirmed(&arguments, request, effect, on: connection) else { return }
        server.node.repair(partition, from: member?.replica)
        audit(request, "OK", on: connection)
        connection.output.simple("OK")
    }

    func job(_ request: Request, on connection: ClientConnection) throws(CommandError) {
        if request[1].matches("LIST") {
            connection.output.array(server.jobs.jobs.count)
            for job in server.jobs.jobs { describe(job, to: &connection.output) }
            return
        }
        guard let number = decimal(request[1]), let job = server.jobs.jobs.first(where: { $0.number == number }) else {
            throw CommandError(.notFound, "job \(shown(request[1])) not found")
        }
        describe(job, to: &connection.output)
    }

    private func words(of request: Request) -> String {
        (0..<request.count).map { shown(request[$0]) }.joined(separator: " ")
    }

    private func describe(_ job: JobTable.Job, to output: inout ReplyBuffer) {
        let report = job.report ?? VerifyReport()
        output.map(8)
        output.simple("job")
        output.integer(job.number)
        output.simple("command")
        output.bulk(job.command)
        output.simple("state")
        output.simple(job.stateName)
        output.simple("checked_bytes")
        output.integer(report.checkedBytes)
        output.simple("checked_partitions")
        output.integer(report.checkedPartitions)
        output.simple("equal_places")
        output.integer(report.equalPlaces)
        output.simple("failure")
        if let failure = report.failure { output.bulk(failure) } else { output.null() }
        output.simple("problems")
        output.array(report.problems.count)
        for problem in report.problems { describe(problem, to: &output) }
    }

    private func describe(_ problem: VerifyReport.Problem, to output: inout ReplyBuffer) {
        let damage = problem.damage
        output.map(6)
        output.simple("partition")
        if let partition = problem.partition { output.integer(partition.rawValue) } else { output.null() }
        output.simple("file")
        output.bulk(damage.file)
        output.simple("offset")
        output.integer(damage.offsets.lowerBound)
        output.simple("range")
        output.bulk("\(damage.offsets.lowerBound)..<\(damage.offsets.upperBound)")
        output.simple("class")
        output.simple(damage.kind.rawValue)
        output.simple("detail")
        output.bulk(damage.detail)
    }
}
