"""Settings of git that people have, each of which a repository or a home directory is given alone."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from support import repositories

#: Each a value of git-config(1) that changes what some command of git prints or does. Lines that belong together are
#: in one tuple. `{scratch}` is where `prepare` puts what they name; `{scratch}/nowhere` is never there.
SETTINGS: Sequence[tuple[str, ...]] = (
    # Commits and how they are shown.
    ("log.showSignature=true", "gpg.program={scratch}/verifying"),
    ("log.mailmap=true", "mailmap.file={scratch}/mailmap"),
    ("mailmap.blob=HEAD:nowhere", "log.date=relative", "log.decorate=full", "log.showRoot=false", "log.follow=true"),
    ("log.abbrevCommit=true", "core.abbrev=4", "log.diffMerges=first-parent"),
    ("core.abbrev=no",),
    ("format.pretty=fuller", "format.notes=*", "notes.displayRef=refs/notes/*", "core.notesRef=refs/notes/nowhere"),
    ("format.pretty=%s%x00%x00", "pretty.medium=%an"),
    ("i18n.commitEncoding=ISO-8859-1",),
    ("i18n.logOutputEncoding=UTF-16",),
    ("core.useReplaceRefs=false", "core.warnAmbiguousRefs=false", "core.commitGraph=false"),
    # Landing.
    ("branch.main.mergeOptions=--squash",),
    ("branch.main.mergeOptions=-s ours",),
    ("branch.main.mergeOptions=--no-commit",),
    ("branch.main.mergeOptions=--no-ff --edit",),
    ("branch.main.mergeOptions=--nonsense",),
    ("branch.main.remote=nowhere", "branch.main.merge=refs/heads/gone", "branch.main.pushRemote=nowhere"),
    ("branch.main.rebase=interactive", "branch.autoSetupMerge=always", "branch.autoSetupRebase=always"),
    ("merge.ff=false",),
    ("merge.ff=only",),
    ("merge.verifySignatures=true", "gpg.program={scratch}/broken"),
    ("merge.conflictStyle=diff3", "merge.log=true", "merge.stat=true", "merge.branchdesc=true"),
    ("merge.renames=false",),
    ("merge.renameLimit=1", "merge.directoryRenames=true"),
    ("merge.renormalize=true",),
    ("merge.autoStash=true", "rebase.autoStash=true", "stash.showPatch=true"),
    ("merge.default=custom", "merge.custom.driver={scratch}/broken"),
    ("merge.suppressDest=main", "merge.defaultToUpstream=false", "merge.verbosity=5"),
    ("pull.ff=only", "pull.rebase=merges", "pull.octopus=ours"),
    ("pull.twohead=ours",),
    ("rebase.autoSquash=true", "rebase.updateRefs=true", "rebase.backend=apply", "rebase.missingCommitsCheck=error"),
    ("rerere.enabled=true", "rerere.autoUpdate=true"),
    # Pushing.
    ("push.default=nothing", "push.autoSetupRemote=true", "remote.pushDefault=nowhere", "remotes.origin=nowhere"),
    ("push.followTags=true", "remote.origin.tagOpt=--tags"),
    ("push.gpgSign=true", "gpg.program={scratch}/broken"),
    ("push.gpgSign=if-asked",),
    ("push.recurseSubmodules=only",),
    ("push.useForceIfIncludes=true",),
    ("push.pushOption=nobody.asked.for.it",),
    ("push.negotiate=true", "push.useBitmaps=false", "protocol.version=1"),
    ("remote.origin.mirror=true",),
    ("remote.origin.push=+refs/heads/*:refs/heads/everything/*",),
    ("url.{scratch}/elsewhere/.insteadOf=https://example.org/", "url.{scratch}/.pushInsteadOf=https://example.org/"),
    ("protocol.allow=never", "protocol.file.allow=always", "transfer.credentialsInUrl=die"),
    ("transfer.hideRefs=refs/taskgrove", "transfer.advertiseSID=true", "transfer.fsckObjects=true"),
    ("uploadpack.packObjectsHook={scratch}/broken", "uploadpack.hideRefs=refs", "lsrefs.unborn=ignore"),
    # The diff.
    ("diff.orderFile={scratch}/nowhere",),
    ("diff.orderFile={scratch}/order",),
    ("diff.noprefix=true",),
    ("diff.mnemonicPrefix=true",),
    ("diff.external={scratch}/broken",),
    ("core.attributesFile={scratch}/attributes", "diff.shown.command={scratch}/broken"),
    ("core.attributesFile={scratch}/attributes", "diff.shown.textconv={scratch}/broken", "diff.shown.cachetextconv=1"),
    ("core.attributesFile={scratch}/attributes", "merge.shown.driver={scratch}/broken"),
    ("core.attributesFile={scratch}",),
    ("diff.ignoreSubmodules=all", "diff.submodule=log", "status.submoduleSummary=true"),
    ("diff.relative=true", "status.relativePaths=false"),
    ("diff.renames=copies", "status.renames=copies"),
    ("diff.renames=false", "status.renames=false"),
    ("diff.renameLimit=1", "status.renameLimit=1"),
    ("diff.algorithm=patience", "diff.indentHeuristic=false"),
    ("diff.suppressBlankEmpty=true",),
    ("diff.colorMoved=zebra", "diff.colorMovedWS=allow-indentation-change", "color.diff=always"),
    ("diff.wsErrorHighlight=all", "core.whitespace=tab-in-indent,cr-at-eol", "apply.whitespace=error-all"),
    ("diff.context=0",),
    ("diff.interHunkContext=20", "diff.dirstat=lines", "diff.statGraphWidth=1", "diff.wordRegex=."),
    ("color.ui=always",),
    ("color.status=always", "color.branch=always", "color.push=always", "color.remote=always"),
    ("column.ui=always", "column.branch=always", "column.status=always"),
    ("core.quotePath=true",),
    ("core.quotePath=false",),
    ("core.pager={scratch}/broken", "pager.log=true", "pager.diff=true", "pager.status=true"),
    # What git believes of files.
    ("core.fsmonitor={scratch}/broken",),
    ("core.fsmonitor={scratch}/lying", "core.fsmonitorHookVersion=2"),
    ("core.fsmonitor={scratch}/lying", "core.fsmonitorHookVersion=1", "core.untrackedCache=true"),
    ("core.untrackedCache=true", "status.showUntrackedFiles=all"),
    ("core.untrackedCache=false", "diff.autoRefreshIndex=false"),
    ("status.showUntrackedFiles=no",),
    ("status.short=true", "status.branch=true", "status.showStash=true", "status.aheadBehind=false"),
    ("core.splitIndex=true", "splitIndex.maxPercentChange=0", "splitIndex.sharedIndexExpire=now"),
    ("core.preloadIndex=false", "index.threads=true", "index.recordEndOfIndexEntries=true"),
    ("index.version=4", "index.recordOffsetTable=true"),
    ("index.sparse=true", "core.sparseCheckout=true", "sparse.expectFilesOutsideOfPatterns=true"),
    ("core.fileMode=false", "core.symlinks=false"),
    ("core.ignoreCase=true", "core.precomposeUnicode=true", "core.protectNTFS=true", "core.protectHFS=true"),
    ("core.trustctime=false", "core.checkStat=minimal"),
    ("core.ignoreStat=true",),
    ("core.autocrlf=true",),
    ("core.autocrlf=input",),
    ("core.eol=crlf",),
    ("core.safecrlf=true", "core.autocrlf=true"),
    ("core.excludesFile={scratch}/nowhere", "add.ignoreErrors=true"),
    ("core.excludesFile={scratch}/exclude", "clean.requireForce=true"),
    ("filter.odd.clean={scratch}/broken", "filter.odd.smudge={scratch}/broken", "filter.odd.required=true"),
    ("core.bigFileThreshold=1",),
    ("core.compression=0", "core.looseCompression=9", "pack.compression=0", "pack.threads=1"),
    ("checkout.workers=4", "checkout.thresholdForParallelism=0", "checkout.defaultRemote=nowhere"),
    # Commits that are made.
    ("core.hooksPath={scratch}/hooks", "advice.ignoredHook=true"),
    ("core.editor={scratch}/broken", "sequence.editor={scratch}/broken"),
    ("core.commentChar=T",),
    ("core.commentChar=auto",),
    ("commit.gpgSign=true", "gpg.program={scratch}/broken"),
    ("commit.gpgSign=true", "gpg.format=ssh", "user.signingKey={scratch}/nowhere", "gpg.ssh.program={scratch}/broken"),
    ("commit.template={scratch}/nowhere", "commit.verbose=true", "commit.status=true"),
    ("commit.cleanup=verbatim",),
    ("commit.cleanup=scissors",),
    ("tag.gpgSign=true", "tag.forceSignAnnotated=true", "tag.sort=-creatordate", "branch.sort=-committerdate"),
    ("user.useConfigOnly=true", "user.signingKey=nobody"),
    ("user.name=", "user.email="),
    ("author.name=Somebody Else", "committer.name=Somebody Else", "committer.email=else@example.org"),
    ("trailer.ifexists=replace", "trailer.separators=#", "trailer.sign.command={scratch}/broken"),
    ("notes.rewriteRef=refs/notes/*", "notes.rewriteMode=concatenate", "notes.mergeStrategy=union"),
    # The repository and its refs.
    ("core.logAllRefUpdates=always",),
    ("core.logAllRefUpdates=false",),
    ("core.sharedRepository=group",),
    ("core.preferSymlinkRefs=true",),
    ("core.filesRefLockTimeout=0", "core.packedRefsTimeout=0", "core.fsync=all", "core.fsyncMethod=batch"),
    ("extensions.worktreeConfig=true", "core.repositoryFormatVersion=1"),
    ("worktree.guessRemote=true", "checkout.guess=false", "init.defaultBranch=trunk"),
    ("submodule.recurse=true", "submodule.propagateBranches=true", "submodule.active=nowhere"),
    ("fetch.recurseSubmodules=true", "fetch.parallel=0", "fetch.prune=true", "fetch.fsckObjects=true"),
    ("fetch.writeCommitGraph=true", "commitGraph.readChangedPaths=true", "gc.writeCommitGraph=true"),
    ("feature.manyFiles=true",),
    ("feature.experimental=true",),
    ("gc.auto=1", "gc.autoDetach=false", "gc.pruneExpire=now", "gc.worktreePruneExpire=now", "gc.reflogExpire=now"),
    ("maintenance.auto=true", "maintenance.strategy=incremental"),
    # Programs and help.
    ("core.askPass={scratch}/broken", "credential.helper={scratch}/broken", "core.sshCommand={scratch}/broken"),
    ("core.alternateRefsCommand={scratch}/broken", "core.gitProxy={scratch}/broken"),
    ("alias.graph=log --graph", "alias.wip=!{scratch}/broken", "help.autoCorrect=immediate", "help.format=web"),
    ("advice.detachedHead=true", "advice.addEmbeddedRepo=true", "advice.statusHints=true"),
    ("include.path={scratch}/nowhere", "includeIf.gitdir:/.path={scratch}/nowhere"),
    ("blame.ignoreRevsFile={scratch}/nowhere", "grep.patternType=perl", "grep.lineNumber=true", "grep.threads=1"),
)

#: Some that people rather have in the config of their home directory.
OF_A_HOME: Sequence[tuple[str, ...]] = (
    ("log.showSignature=true", "gpg.program={scratch}/verifying", "i18n.logOutputEncoding=UTF-16"),
    ("branch.main.mergeOptions=--squash", "merge.ff=false", "pull.twohead=ours"),
    ("diff.orderFile={scratch}/nowhere", "diff.external={scratch}/broken", "diff.noprefix=true", "color.ui=always"),
    ("core.hooksPath={scratch}/own-hooks", "core.fsmonitor={scratch}/broken", "core.pager={scratch}/broken"),
    ("core.autocrlf=input", "core.excludesFile={scratch}/exclude", "core.attributesFile={scratch}/attributes"),
    ("commit.gpgSign=true", "tag.gpgSign=true", "push.gpgSign=true", "gpg.program={scratch}/broken"),
    ("receive.fsckObjects=true", "receive.denyCurrentBranch=refuse", "receive.autogc=true"),
    ("safe.directory=*", "safe.bareRepository=all", "user.useConfigOnly=true", "init.templateDir={scratch}/nowhere"),
)


_HOOKS = (
    *("pre-commit", "prepare-commit-msg", "commit-msg", "post-commit", "pre-merge-commit", "post-merge"),
    *("post-checkout", "pre-push", "post-index-change", "post-rewrite", "applypatch-msg", "fsmonitor-watchman"),
)


def prepare(scratch: Path) -> None:
    """Puts the files in place that the settings name."""
    broken = "#!/bin/sh\necho 'This program fails.' >&2\nexit 1\n"
    _program(scratch / "broken", broken)
    # Says that nothing has changed, whatever has.
    _program(scratch / "lying", "#!/bin/sh\nprintf 'token\\0'\n")
    # As gpg does for a signature that it trusts: for programs on one descriptor, for people on another.
    good = "printf '\\n[GNUPG:] GOODSIG 0123456789ABCDEF Somebody\\n'; echo 'gpg: Good signature from \"Somebody\"' >&2"
    _program(scratch / "verifying", f"#!/bin/sh\n{good}\n")
    for name in (*_HOOKS, "reference-transaction"):
        _program(scratch / "hooks" / name, broken)
    # Without the one that repositories have which are pushed to.
    for name in _HOOKS:
        _program(scratch / "own-hooks" / name, broken)
    (scratch / "mailmap").write_text("Nobody <nobody@example.org> <agent@example.org>\n", encoding="utf-8")
    (scratch / "order").write_text("src/*\nREADME.md\n", encoding="utf-8")
    (scratch / "exclude").write_text("*.swp\n", encoding="utf-8")
    (scratch / "attributes").write_text("* diff=shown merge=shown\n", encoding="utf-8")


def configure(config: Path, lines: Sequence[str], scratch: Path) -> None:
    """Adds settings to a config file."""
    for line in lines:
        # No name here has an equals sign, as a subsection may; values may.
        name, _, value = line.replace("{scratch}", str(scratch)).partition("=")
        repositories.git(scratch, "config", "--file", str(config), "--add", name, value)


def _program(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    path.chmod(0o755)
