/** English words that say nothing about what a text is about. Words of other languages are weighed down by their frequency alone. */
export const stopWords: ReadonlySet<string> = new Set(
  `a about above after again against all almost along already also although always am among an and another any are around as at away
  back be became because been before being below best better between both but by came can cannot come could did do does done down during
  each either else enough even ever every few first for from further gave get give go got had half has have having he hence her here hers
  herself him himself his how however i if in into is it its itself just keep kept last least less let like made make many may me might more
  most much must my myself near neither never new next no none nor not nothing now of off often on once one only or other others our ours
  out over own per quite rather said same say see seem seen several shall she should since so some still such take than that the their
  theirs them themselves then there these they thing things this those though three through thus till to today together too took toward
  towards two under until up upon us used very was way we well went were what when where whether which while who whole whom whose why will
  with within without would year years yet you your yours`.split(/\s+/),
);
