/** Text of `README.md` in the keyring's tree: how to read everything with stock tools, should ConvoSync be gone. */
export function keyringReadme(vault: string): string {
  return `# What this is

Conversations with coding agents, saved by ConvoSync beside the code they belong to, encrypted with age
(https://age-encryption.org). Whoever hosts this repository can read none of it. With the recovery code, or with
the device key file of one enrolled machine, everything opens with git, age, gunzip and xdelta3 alone:

    R=refs/convosync/${vault}
    git fetch origin "+$R/*:$R/*"
    git cat-file blob $R/keyring:recovery.age > recovery.age
    git cat-file blob $R/keyring:vault.age    > vault.age
    age -d -i recovery.age vault.age > vault.txt        # asks for the recovery code; or: -i device.txt

\`vault.txt\` now holds the keys; keep it safe and remove it afterwards. What there is:

    for h in $(git for-each-ref --format='%(refname)' $R/head); do
      git cat-file blob $h:head.age | age -d -i vault.txt | gunzip; done

lists, for each replica, its sessions: \`s\` is the agent's session id, \`d\` the directory below \`$R/session/\`,
\`t\` the title. One session, from the replica that has most of it:

    S=$R/session/<d>/<replica>
    git cat-file blob $S:manifest.age | age -d -i vault.txt | gunzip

shows its streams; the segments of a stream are the files \`segment/<i div 64>/<i mod 64>.age\` in the order the
manifest gives (a long one names \`page/…\` files with the older records). A segment whose entry says
\`"codec":"vcd"\` is, after gunzip, an RFC 3284 delta against the bytes of the stream before it, which xdelta3
applies. For a session that has only its main stream the segments are simply all of them:

    : > session.jsonl
    for s in $(git ls-tree -r --name-only $S segment/ | sort -V); do
      git cat-file blob $S:$s | age -d -i vault.txt | gunzip > part
      case $(od -An -tx1 -N3 part) in
        *"d6 c3 c4"*) xdelta3 -d -c -s session.jsonl part > piece ;;
        *) cp part piece ;;
      esac
      cat piece >> session.jsonl
    done

For a session whose entry has \`a\`, folded into an archive, say \`S=<a.t>\`: the folder itself.
In the text, {{CS:ROOT}} stands for the project's folder and {{CS:HOME}} for the home folder of whoever reads it.
`;
}
